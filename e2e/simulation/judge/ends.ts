import { finalSaveFinalizer, labels } from "@trainingrun/operator/api/names.ts";
import type { ExpectedRun } from "./expected.ts";
import type { Event, FactOf } from "./history.ts";
import type { Check, Inquiry } from "./oracle.ts";
import { conditionOf, statusOf } from "./status-view.ts";
import type { World } from "./world.ts";

/** E4: the bucket has caught up. */
const lagBounded: Check = {
  id: "E4",
  guards: "L4",
  says: "once the object store is well, nothing has been due there for longer than an upload takes",
  begin: (inquiry) => {
    inquiry.on("Lag", ({ run, steps, dueSeconds, atMs }) => {
      const isBounded = steps === 0 || dueSeconds <= inquiry.expected.lagSeconds;
      inquiry.expect(isBounded, atMs, () => `the bucket of ${run} is ${steps} steps and ${dueSeconds} s behind`);
    });
  },
};

/** E5: deleted is deleted. */
const nothingRemains: Check = {
  id: "E5",
  guards: "L5",
  says: "a deleted run is let go in time, nothing that it owned remains, and its data goes or stays as it said",
  begin: (inquiry) => {
    const goneAt = new Map<string, number>();
    const owned = new Map<string, Readonly<{ owner: string; what: string }>>();
    const claims = new Map<string, string>();
    const contents = new Map<string, Event<FactOf<"Contents">>>();
    const stripped = new Set<string>();
    let healedAt = 0;
    inquiry.on("Part", ({ part, atMs }) => {
      if (part === "Heal") healedAt = atMs;
    });
    inquiry.on("Contents", (found) => void contents.set(`${found.store} ${found.run}`, found));
    inquiry.on("Write", ({ by, resource, change, before, object, atMs }) => {
      if (resource === "trainingruns") noteStripping(stripped, { by, change, before, object });
      const { uid, name, ownerReferences = [], labels: carried } = object.metadata;
      const owner = ownerReferences.find(({ controller }) => controller)?.uid;
      const isGone = change === "DELETED";
      if (resource === "trainingruns" && isGone) goneAt.set(uid, atMs);
      if (isGone) owned.delete(uid);
      else if (owner !== undefined) owned.set(uid, { owner, what: `${resource} ${name}` });
      const run = carried?.[labels.runUid];
      if (resource !== "persistentvolumeclaims" || run === undefined) return;
      if (isGone || object.metadata.deletionTimestamp !== undefined) claims.delete(run);
      else claims.set(run, name);
    });
    inquiry.atEnd((world, endMs) => {
      for (const [uid, { deletedAtMs }] of world.runs) {
        const expected = inquiry.runOf(world, uid);
        if (deletedAtMs === null || expected === undefined) continue;
        const left = [...owned.values()].filter(({ owner }) => owner === uid).map(({ what }) => what);
        inquiry.expect(left.length === 0, endMs, () => `of the deleted ${expected.name} there remain ${left}`);
        const limit = Math.max(deletedAtMs, healedAt) + releaseMs(expected);
        const released = goneAt.get(uid) ?? Number.POSITIVE_INFINITY;
        inquiry.expect(released <= limit, endMs, () => `${expected.name} was let go ${released - limit} ms too late`);
        // Without its finalizer it was gone before the operator could do anything.
        if (stripped.has(uid)) continue;
        const ofRun = [...contents.values()].filter(({ run }) => run === uid);
        judgeData(inquiry, {
          expected,
          hasClaim: claims.has(uid),
          contents: ofRun,
          endMs,
          logs: world.logsOf(uid).length,
        });
      }
    });
  },
};

/** E6: the end is the same as without faults. */
const sameEnd: Check = {
  id: "E6",
  guards: "I5",
  says: "a run ends as it ends without faults: the same weights, its newest checkpoints kept, or the planned failure",
  begin: (inquiry) => {
    const contents = new Map<string, Event<FactOf<"Contents">>[]>();
    inquiry.on("Contents", (found) => void contents.set(found.run, [...(contents.get(found.run) ?? []), found]));
    inquiry.atEnd((world, endMs) => {
      for (const expected of inquiry.expected.runs) {
        const run = world.runNamed(expected.namespace, expected.name);
        if (run === undefined || run.isGone) continue;
        const { uid } = run.object.metadata;
        const alive = [...world.living].filter((living) => living.run === uid);
        const { orBefore } = expected;
        const end = orBefore === statusOf(run.object).state ? orBefore : expected.end;
        if (end !== "Deleted") {
          inquiry.expect(
            alive.length === 0,
            endMs,
            () => `${expected.name} has ended, and ${alive.length} processes live`,
          );
        }
        if (end === "Failed") {
          const failed = conditionOf(run.object, "Failed");
          const isPlanned = expected.failure?.includes(failed?.reason ?? "") ?? false;
          inquiry.expect(
            isPlanned,
            endMs,
            () => `${expected.name} failed for ${failed?.reason}, not ${expected.failure}`,
          );
        }
        if (end === "Complete") judgeFinal(inquiry, { uid, expected, contents: contents.get(uid) ?? [], endMs }, world);
      }
    });
  },
};

/** E4, E5, E6: what stands when a play is over. */
export const ends: readonly Check[] = [lagBounded, nothingRemains, sameEnd];

const slackMs = 60_000;
const removalMs = 600_000;

function releaseMs({ graceSeconds, deletionPolicy }: ExpectedRun): number {
  return graceSeconds * 1000 + slackMs + (deletionPolicy === "Delete" ? removalMs : 0);
}

/** Who takes the finalizer off a run says that nothing is to be done for it any more, until the operator puts it back. */
function noteStripping(
  stripped: Set<string>,
  { by, change, before, object }: Pick<FactOf<"Write">, "by" | "change" | "before" | "object">,
): void {
  const { uid, finalizers } = object.metadata;
  const wasHeld = before?.metadata.finalizers?.includes(finalSaveFinalizer) ?? false;
  const isHeld = change !== "DELETED" && (finalizers?.includes(finalSaveFinalizer) ?? false);
  if (isHeld) stripped.delete(uid);
  else if (wasHeld && by.role !== "Operator") stripped.add(uid);
}

type Data = Readonly<{
  expected: ExpectedRun;
  hasClaim: boolean;
  contents: readonly Event<FactOf<"Contents">>[];
  endMs: number;
  logs: number;
}>;

function judgeData(inquiry: Inquiry, { expected, hasClaim, contents, endMs, logs }: Data): void {
  const { name, deletionPolicy, hasVolume, isDamaged, losesNamespace } = expected;
  if (deletionPolicy === "Delete") {
    inquiry.expect(!hasClaim, endMs, () => `the claim of ${name} stays, and its data were to go`);
    for (const { store, files } of contents) {
      if (store.startsWith("volume/") || losesNamespace) continue;
      inquiry.expect(files === 0, endMs, () => `${files} objects of ${name} stay in ${store}, and were to go`);
    }
    return;
  }
  if (hasVolume && !isDamaged && logs > 0)
    inquiry.expect(hasClaim, endMs, () => `the claim of ${name} is gone, and its data were to stay`);
}

type Final = Readonly<{
  uid: string;
  expected: ExpectedRun;
  contents: readonly Event<FactOf<"Contents">>[];
  endMs: number;
}>;

function judgeFinal(inquiry: Inquiry, { uid, expected, contents, endMs }: Final, world: World): void {
  const { name, finalContent, keptLast, isDamaged, mayLackUploads, hasVolume } = expected;
  const done = world.logsOf(uid).flatMap((log) => log.done ?? []);
  if (finalContent !== null) {
    const final = done.map((digest) => world.contentOf({ run: uid, digest }));
    const what = `the final weights of ${name} are ${final}, and ${finalContent} without faults`;
    inquiry.expect(final.includes(finalContent), endMs, () => what);
  }
  for (const { store, whole } of contents) {
    const isLate = store.startsWith("bucket/") && hasVolume && mayLackUploads;
    if (isDamaged || isLate) continue;
    const has = whole.some(({ digest }) => done.includes(digest));
    inquiry.expect(has, endMs, () => `the final checkpoint of ${name} is not whole in ${store}`);
  }
  if (isDamaged) return;
  const most = Math.max(0, ...contents.map(({ whole }) => whole.length));
  const counted = Math.max(0, ...world.logsOf(uid).map((log) => log.everCounted.size));
  const least = Math.min(keptLast, counted);
  inquiry.expect(most >= least, endMs, () => `${name} keeps ${most} whole checkpoints, and ${least} were to stay`);
}
