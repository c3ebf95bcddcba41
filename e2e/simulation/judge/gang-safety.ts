import type { Check } from "./oracle.ts";

/** S16: a gang is one. */
const oneGang: Check = {
  id: "S16",
  guards: "gangs",
  says: "what a gang saved counts once every worker has sealed its shard, and a worker that is lost is not replaced alone",
  begin: (inquiry) => {
    const sealed = new Set<string>();
    const made = new Map<string, string>();
    inquiry.on("ShardSealed", ({ store, run, attempt, step, worker }) => {
      sealed.add(`${store} ${run} ${attempt} ${step} ${worker}`);
    });
    inquiry.on("Committed", ({ store, run, attempt, step, digest, workers, atMs }, world) => {
      if (!world.log(store, run).everCounted.has(digest)) return;
      const size = inquiry.runOf(world, run)?.workers ?? workers;
      const of = `step ${step} of attempt ${attempt} of ${run}`;
      inquiry.expect(workers === size, atMs, () => `${of} is of ${workers} workers, and the run has ${size}`);
      const missing = Array.from({ length: size }, (_, worker) => worker).filter(
        (worker) => size > 1 && !sealed.has(`${store} ${run} ${attempt} ${step} ${worker}`),
      );
      inquiry.expect(missing.length === 0, atMs, () => `${of} counts, and workers ${missing} have not sealed theirs`);
    });
    inquiry.on("Write", ({ by, resource, change, object, atMs }, world) => {
      if (resource !== "pods" || change !== "ADDED" || by.role !== "Operator") return;
      const { uid } = object.metadata;
      const part = world.pods.get(uid)?.part;
      if (part === undefined || part.attempt === 0) return;
      const { run, attempt, worker } = part;
      const key = `${run} ${attempt} ${worker}`;
      const before = made.get(key);
      made.set(key, uid);
      const what = `worker ${worker} of attempt ${attempt} of ${run} had the pod ${before}, and was given ${uid}`;
      inquiry.expect(before === undefined, atMs, () => what);
      const size = inquiry.runOf(world, run)?.workers;
      const isOne = size === undefined || worker < size;
      inquiry.expect(isOne, atMs, () => `attempt ${attempt} of ${run} was given a worker ${worker}, and has ${size}`);
    });
  },
};

/** S16: what is promised of gangs. */
export const gangSafety: readonly Check[] = [oneGang];
