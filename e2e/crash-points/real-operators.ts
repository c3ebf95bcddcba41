import type { Credentials } from "@trainingrun/operator/kubernetes/credentials.ts";
import type { LeaseTiming } from "@trainingrun/operator/kubernetes/lease.ts";
import { NotLeadingError } from "@trainingrun/operator/kubernetes/term.ts";
import type { Fault, Seen } from "../../operator/test/fault-proxy.ts";
import { OperatorLife } from "../../operator/test/operator-life.ts";
import { until } from "../../operator/test/until.ts";
import type { Cut, How, Write } from "./cut.ts";

const faults: Readonly<Record<How, Fault>> = {
  Before: { kind: "Reset" },
  After: { kind: "LoseAnswerForGood" },
  Lost: { kind: "LoseAnswer" },
};
const tendMs = 20;
/** A fifth of what operators are told in life, so that a play need not wait so long. */
const timing: LeaseTiming = {
  leaseMs: 3_000,
  renewDeadlineMs: 2_000,
  retryMs: 500,
  drainMs: 500,
  abandonMs: 10_000,
  releaseMs: 500,
};
const patienceMs = 30_000;

/** How many operators serve a namespace, and which of their writes is cut. */
export type RealOptions = Readonly<{ namespace: string; cut: Cut | null; count: 1 | 2 }>;

/** Operators before a real API server, one of whose writes is cut; another one takes the place of one that ends by that. */
export class RealOperators {
  readonly #upstream: Credentials;
  readonly #options: RealOptions;
  readonly #all: OperatorLife[] = [];
  readonly #present = new Set<OperatorLife>();
  readonly #writes: Write[] = [];
  #nurse: NodeJS.Timeout | undefined;
  #replacing: Promise<unknown> = Promise.resolve();

  constructor(upstream: Credentials, options: RealOptions) {
    this.#upstream = upstream;
    this.#options = options;
  }

  /** Starts them, and whoever comes after them. The first one leads. */
  async begin(): Promise<void> {
    this.#nurse = setInterval(() => this.#tend(), tendMs);
    await this.#bear();
    if (this.#options.count === 1) return;
    await this.#leader();
    await this.#bear();
  }

  async end(): Promise<void> {
    clearInterval(this.#nurse);
    await this.#replacing;
    await Promise.all([...this.#present].map((life) => life.kill()));
  }

  /** Asks the one that leads to end; another one takes its place. */
  async stopLeader(): Promise<void> {
    this.#replace(await this.#leader(), (life) => life.stop());
  }

  /** Ends the one that leads without a word; another one takes its place. */
  async killLeader(): Promise<void> {
    this.#replace(await this.#leader(), (life) => life.kill());
  }

  /**
   * Every write that was sent, in order. Events tell of what is written elsewhere, in no order of their own; and how often a
   * Lease is renewed is a matter of how fast the machine is.
   */
  get writes(): readonly Write[] {
    return this.#writes;
  }

  /** Whether the write that is to be cut was sent. */
  get wasCut(): boolean {
    const { cut } = this.#options;
    return cut !== null && this.#writes.length >= cut.ordinal;
  }

  /** What went wrong in passes of an operator that was not cut off, and led on. */
  get errors(): readonly string[] {
    const all = this.#all.flatMap(({ errors }) => errors);
    return all.filter((error) => !(error instanceof NotLeadingError)).map(String);
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

  /** Of the run's: a Lease says nothing of what became of it. */
  get #answered() {
    return this.#all.flatMap(({ proxy }) => proxy.answered).filter((seen) => isWrite(seen) && !isOfLease(seen));
  }

  async #leader(): Promise<OperatorLife> {
    const leads = ({ electionState, proxy }: OperatorLife) => electionState === "Leading" && !proxy.isCut;
    return await until("an operator leads", () => [...this.#present].find(leads), patienceMs);
  }

  async #bear(): Promise<void> {
    const { namespace, count, cut } = this.#options;
    const lease = { namespace, name: "operator", timing };
    const life = new OperatorLife(this.#upstream, { watchNodes: true, ...(count === 1 ? {} : { lease }) });
    this.#all.push(life);
    this.#present.add(life);
    life.proxy.add({ matches: (seen) => this.#isCut(life, seen), fault: faults[cut?.how ?? "Lost"] });
    await life.begin(namespace);
  }

  #isCut(life: OperatorLife, seen: Seen): boolean {
    const { cut } = this.#options;
    const isRenewal = isOfLease(seen) && life.electionState === "Leading";
    if (!isWrite(seen) || isRenewal || life.proxy.isCut) return false;
    this.#writes.push(writeOf(seen));
    if (cut?.ordinal !== this.#writes.length) return false;
    if (cut.how === "Before") life.proxy.cut();
    return true;
  }

  #tend(): void {
    const dead = [...this.#present].find(({ proxy }) => proxy.isCut);
    if (dead !== undefined) this.#replace(dead, (life) => life.kill());
  }

  #replace(life: OperatorLife, end: (life: OperatorLife) => Promise<void>): void {
    this.#present.delete(life);
    this.#replacing = Promise.all([this.#replacing, end(life).then(() => this.#bear())]);
  }
}

function isWrite({ method, path }: Seen): boolean {
  return method !== "GET" && !path.includes("/events");
}

function isOfLease({ path }: Seen): boolean {
  return path.includes("/leases");
}

function writeOf({ method, path }: Seen): Write {
  const name = nameOf(path);
  const [resource = "", , subresource] = name.split("/");
  const about = subresource === undefined ? resource : `${resource}/${subresource}`;
  return { words: `${method} ${name}`, kind: `${method} ${about}`, isAnswered: true };
}

/** `pods/mnist-1-0/status` of a path; uids in names are drawn. */
function nameOf(path: string): string {
  return path
    .replace(/\?.*/, "")
    .replace(/.*\/namespaces\/[^/]+\//, "")
    .replace(/-[0-9a-f]{8}(?=\/|$)/, "");
}
