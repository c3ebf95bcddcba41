import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { PodView, RunView } from "./run-view.ts";

/** Where a run stands on the API server. */
export type RunName = Readonly<{ namespace: string; name: string }>;

const apiPath = "/apis/trainingrun.dev/v1alpha1";
const pollMs = 100;

/** Reads and pokes one TrainingRun from outside, the way a user with kubectl could. */
export class RunAccess {
  readonly #api: ApiClient;
  readonly #path: string;
  readonly name: RunName;

  constructor(api: ApiClient, name: RunName) {
    this.#api = api;
    this.name = name;
    this.#path = `${apiPath}/namespaces/${name.namespace}/trainingruns/${name.name}`;
  }

  /** Creates the run from a manifest, under this name. */
  async create(manifest: Readonly<Record<string, unknown>>): Promise<RunView> {
    const metadata = { name: this.name.name, namespace: this.name.namespace };
    const path = `${apiPath}/namespaces/${this.name.namespace}/trainingruns`;
    return RunView.parse(await this.#api.expect("POST", path, { ...manifest, metadata }));
  }

  async get(): Promise<RunView> {
    return RunView.parse(await this.#api.expect("GET", this.#path));
  }

  async patchSpec(spec: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#api.expect("PATCH", this.#path, { spec });
  }

  /** Deletes the run and waits until it is gone. */
  async remove(signal: AbortSignal): Promise<void> {
    await this.#api.request("DELETE", this.#path);
    await until("the run to be gone", signal, async () => (await this.#api.request("GET", this.#path)).status === 404);
  }

  /** The run's pods, oldest attempt first. */
  async pods(): Promise<readonly PodView[]> {
    const selector = encodeURIComponent(`trainingrun.dev/run=${this.name.name}`);
    const path = `/api/v1/namespaces/${this.name.namespace}/pods?labelSelector=${selector}`;
    const list = z.object({ items: z.array(PodView) }).parse(await this.#api.expect("GET", path));
    return list.items.toSorted((a, b) => attemptOf(a) - attemptOf(b));
  }

  /** The pod of the newest attempt that nobody has asked to go yet; null between attempts. */
  async livePod(): Promise<PodView | null> {
    const live = (await this.pods()).filter(
      ({ metadata, status }) =>
        metadata.deletionTimestamp === undefined && /^(Pending|Running)$/.test(status.phase ?? ""),
    );
    return live.at(-1) ?? null;
  }

  async logs(pod: string, container: string): Promise<string> {
    const path = `/api/v1/namespaces/${this.name.namespace}/pods/${pod}/log?container=${container}&timestamps=true`;
    return z.string().parse(await this.#api.expect("GET", path));
  }

  /** Waits until the run looks as asked; fails with what it looked like last when `signal` ends the wait. */
  async waitFor(what: string, signal: AbortSignal, test: (run: RunView) => boolean): Promise<RunView> {
    let seen: RunView | undefined;
    const describe = () =>
      `${what}; last seen: ${JSON.stringify({ state: seen?.status.state, attempt: seen?.status.attempt, step: seen?.status.progress?.step, conditions: seen?.status.conditions })}`;
    await until(describe, signal, async () => {
      seen = await this.get();
      return test(seen);
    });
    if (seen === undefined) throw new Error(`Cannot wait for ${what}: the run was never read`);
    return seen;
  }
}

/** The attempt a pod belongs to, by its label; 0 when it has none. */
export function attemptOf(pod: PodView): number {
  return Number(pod.metadata.labels["trainingrun.dev/attempt"] ?? 0);
}

/** Asks again and again until the answer is yes; fails with `what` when `signal` ends the wait, by its time or otherwise. */
export async function until(
  what: string | (() => string),
  signal: AbortSignal,
  ask: () => Promise<boolean>,
  { everyMs }: { everyMs: number } = { everyMs: pollMs },
): Promise<void> {
  for (;;) {
    if (await ask()) return;
    if (signal.aborted) throw endOfWait(typeof what === "string" ? what : what(), signal.reason);
    await wait(everyMs);
  }
}

function endOfWait(what: string, cause: unknown): Error {
  const isTimeUp = cause instanceof DOMException && cause.name === "TimeoutError";
  if (isTimeUp) return new Error(`Waited in vain for ${what}`, { cause });
  return new Error(`Gave up waiting for ${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
