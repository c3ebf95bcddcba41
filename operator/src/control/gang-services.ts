import type { TrainingRun } from "../api/training-run.ts";
import { openEntry } from "../core/ledger.ts";
import { serviceName } from "../core/names.ts";
import type { Observed } from "../core/observed.ts";
import { workersOf } from "../core/workers.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import { controllerUid, type KubeObject } from "../kubernetes/kube-object.ts";
import { services } from "../kubernetes/resource.ts";
import { readLive } from "./read-live.ts";

/**
 * Whether the Services of gangs that live still stand. They are not watched: nobody deletes one but by mistake, and what
 * it costs is noticed by workers alone that begin later. So each is read at most every half minute, in a pass that comes
 * for another reason.
 */
export class GangServices {
  readonly #seenAt = new Map<string, number>();
  readonly #now: () => number;

  /** `now`: milliseconds of a clock that nobody sets. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** What an observation says of the run's Service: nothing where no gang of it lives. */
  async of(run: TrainingRun, live: Readonly<{ client: ApiClient; bound: Bound }>): Promise<Pick<Observed, "service">> {
    const entry = openEntry(run.status);
    if (entry === null || workersOf(entry) === 1) return {};
    const { namespace, uid } = run.metadata;
    const seenAt = this.#seenAt.get(uid);
    if (seenAt !== undefined && this.#now() - seenAt < rereadMs) return { service: "Present" };
    const found = await readLive(services, { namespace, name: serviceName(run) }, live);
    if (!stands(found, uid)) {
      this.#seenAt.delete(uid);
      return { service: "Absent" };
    }
    this.#seenAt.set(uid, this.#now());
    return { service: "Present" };
  }

  /** The run is gone. */
  forget(runUid: string): void {
    this.#seenAt.delete(runUid);
  }
}

const rereadMs = 30_000;

/** One of another owner does not find the run's pods, and one that is being deleted soon will not. */
function stands(found: KubeObject | undefined, runUid: string): boolean {
  return found !== undefined && controllerUid(found) === runUid && found.metadata.deletionTimestamp === undefined;
}
