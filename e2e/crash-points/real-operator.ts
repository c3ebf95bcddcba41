import type { Credentials } from "@trainingrun/operator/kubernetes/credentials.ts";
import type { Fault, Seen } from "../../operator/test/fault-proxy.ts";
import { OperatorLife } from "../../operator/test/operator-life.ts";
import type { Cut, How, Write } from "./cut.ts";

const faults: Readonly<Record<How, Fault>> = {
  Before: { kind: "Reset" },
  After: { kind: "LoseAnswerForGood" },
  Lost: { kind: "LoseAnswer" },
};
const tendMs = 20;

/** An operator before a real API server, one of whose writes is cut; another one takes its place where that is its end. */
export class RealOperator {
  readonly #upstream: Credentials;
  readonly #namespace: string;
  readonly #cut: Cut | null;
  readonly #lives: OperatorLife[] = [];
  readonly #writes: Write[] = [];
  #nurse: NodeJS.Timeout | undefined;
  #replacing: Promise<void> = Promise.resolve();

  constructor(upstream: Credentials, { namespace, cut }: { namespace: string; cut: Cut | null }) {
    this.#upstream = upstream;
    this.#namespace = namespace;
    this.#cut = cut;
  }

  /** Starts it, and whoever comes after it. */
  async begin(): Promise<void> {
    await this.#bear();
    this.#nurse = setInterval(() => this.#tend(), tendMs);
  }

  async end(): Promise<void> {
    clearInterval(this.#nurse);
    await this.#replacing;
    await this.#lives.at(-1)?.kill();
  }

  /** Every write that was sent, in order. Events tell of what is written elsewhere, in no order of their own. */
  get writes(): readonly Write[] {
    return this.#writes;
  }

  /** Whether the write that is to be cut was sent. */
  get wasCut(): boolean {
    return this.#cut !== null && this.#writes.length >= this.#cut.ordinal;
  }

  /** What went wrong in passes of an operator that was not cut off. */
  get errors(): readonly string[] {
    return this.#lives.flatMap(({ errors }) => errors.map(String));
  }

  /** What was created, each as often as it was. */
  get created(): readonly string[] {
    const done = this.#answered.filter(({ method, status }) => method === "POST" && status === 201);
    return done.map(({ path }) => nameOf(path)).toSorted();
  }

  /** What was asked to be deleted. To ask twice is no harm, where the first answer was lost. */
  get deleted(): readonly string[] {
    const done = this.#answered.filter(({ method, status }) => method === "DELETE" && status < 300);
    return [...new Set(done.map(({ path }) => nameOf(path)))].toSorted();
  }

  get #answered() {
    return this.#lives.flatMap(({ proxy }) => proxy.answered).filter(isWrite);
  }

  async #bear(): Promise<void> {
    const life = new OperatorLife(this.#upstream);
    this.#lives.push(life);
    const fault = faults[this.#cut?.how ?? "Lost"];
    life.proxy.add({ matches: (seen) => this.#isCut(life, seen), fault });
    await life.begin(this.#namespace);
  }

  #isCut(life: OperatorLife, seen: Seen): boolean {
    if (!isWrite(seen) || life.proxy.isCut) return false;
    this.#writes.push(`${seen.method} ${nameOf(seen.path)}`);
    if (this.#cut?.ordinal !== this.#writes.length) return false;
    if (this.#cut.how === "Before") life.proxy.cut();
    return true;
  }

  #tend(): void {
    const life = this.#lives.at(-1);
    if (life?.proxy.isCut !== true) return;
    clearInterval(this.#nurse);
    this.#replacing = (async () => {
      await life.kill();
      await this.#bear();
    })();
  }
}

function isWrite({ method, path }: Seen): boolean {
  return method !== "GET" && !path.includes("/events");
}

/** `pods/mnist-1-0/status` of a path; uids in names are drawn. */
function nameOf(path: string): string {
  return path
    .replace(/\?.*/, "")
    .replace(/.*\/namespaces\/[^/]+\//, "")
    .replace(/-[0-9a-f]{8}(?=\/|$)/, "");
}
