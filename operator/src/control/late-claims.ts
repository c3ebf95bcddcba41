import { labels } from "../api/names.ts";
import { claimNameOf } from "../core/names.ts";
import type { ObjectCache } from "../kubernetes/cache.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import { type KubeObject, keyOf } from "../kubernetes/kube-object.ts";
import { claims } from "../kubernetes/resource.ts";
import { removeExact } from "../kubernetes/writes.ts";
import type { Caches } from "./caches.ts";
import { parsedRun } from "./run-cache.ts";
import { livingUid } from "./strays.ts";

/**
 * Claims that come after their run. A creation whose answer was given up, or that another operator had sent before it
 * lost its turn, may reach the server when the run is gone, and with it whoever would have deleted the claim. Such a
 * claim is younger than the run's deletion, so that nothing was ever written to it. Known in memory alone, for runs
 * whose data was to go, and for ten minutes: a write that is under way for longer does not come any more.
 */
export class LateClaims {
  readonly #gone = new Map<string, Gone>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The run has been deleted, in its last state. */
  runGone(raw: KubeObject): void {
    const parsed = parsedRun(raw);
    const deletedAt = Date.parse(raw.metadata.deletionTimestamp ?? "");
    if (parsed.kind !== "Run" || Number.isNaN(deletedAt)) return;
    const { spec, metadata } = parsed.run;
    if (spec.deletionPolicy !== "Delete" || spec.checkpoint.volume?.claimTemplate === undefined) return;
    this.#forgetOld();
    const claim = `${metadata.namespace}/${claimNameOf(parsed.run)}`;
    this.#gone.set(metadata.uid, { run: keyOf(raw), claim, deletedAt, until: this.#now() + rememberedMs });
  }

  /** The key of the run that the claim came too late for. */
  runOf(claim: KubeObject): string | undefined {
    const gone = this.#gone.get(claim.metadata.labels?.[labels.runUid] ?? "");
    if (gone === undefined || gone.until < this.#now() || keyOf(claim) !== gone.claim) return undefined;
    const { creationTimestamp = "", deletionTimestamp } = claim.metadata;
    return deletionTimestamp === undefined && Date.parse(creationTimestamp) >= gone.deletedAt ? gone.run : undefined;
  }

  /** The runs of claims that came too late and are still there, as while nobody led who could delete them. */
  waiting(copy: Pick<ObjectCache<KubeObject>, "get">): string[] {
    return [...this.#gone.values()].flatMap(({ claim }) => {
      const found = copy.get(claim);
      return (found === undefined ? undefined : this.runOf(found)) ?? [];
    });
  }

  /** Deletes what came too late for this run, exactly as it was seen, once the server says that the run is gone. */
  async sweep(key: string, { caches, client }: ClaimKeeper, bound: Bound): Promise<void> {
    for (const [uid, gone] of this.#gone) {
      const claim = gone.run === key ? caches.claims.get(gone.claim) : undefined;
      if (claim === undefined || this.runOf(claim) !== key) continue;
      if ((await livingUid(key, client, bound)) === uid) return;
      const { namespace = "", name, uid: claimUid, resourceVersion } = claim.metadata;
      await removeExact(
        client,
        { resource: claims, exact: { namespace, name, uid: claimUid }, resourceVersion },
        bound,
      );
    }
  }

  #forgetOld(): void {
    const now = this.#now();
    for (const [uid, { until }] of this.#gone) {
      if (until < now || this.#gone.size >= mostRemembered) this.#gone.delete(uid);
    }
  }
}

type Gone = Readonly<{ run: string; claim: string; deletedAt: number; until: number }>;
type ClaimKeeper = Readonly<{ caches: Pick<Caches, "claims">; client: ApiClient }>;

const rememberedMs = 10 * 60_000;
const mostRemembered = 1_000;
