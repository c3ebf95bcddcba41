import { checkpoint, digest, served } from "../../operator/test/records.ts";
import type { RealStage } from "./real-stage.ts";

/** A life of one run on a real API server: what its pods do is said by a kubelet that is played. */
export type RealScript = Readonly<{
  name: string;
  says: string;
  operators: 1 | 2;
  play: (stage: RealStage) => Promise<void>;
}>;

const volume = (accessMode: string) => ({
  volume: { claimTemplate: { accessModes: [accessMode], resources: { requests: { storage: "1Gi" } } } },
  interval: { steps: 100 },
});
const spec = { checkpoint: volume("ReadWriteOnce"), retry: { backoff: { initialSeconds: 1, maxSeconds: 10 } } };
const objectStore = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3-keys" };
const savedStep = 70;

/** Every script whose writes are cut on a real API server. */
export const realScripts: readonly RealScript[] = [
  {
    name: "plain",
    says: "a run trains to its end",
    operators: 1,
    play: async (stage) => {
      await stage.createRun(spec);
      await stage.kubelet.start(await stage.podOf(1));
      await finish(stage, 1);
    },
  },
  {
    name: "setbacks",
    says: "a run is evicted, then its program crashes",
    operators: 1,
    play: async (stage) => {
      await stage.isGone(await setBack(stage));
    },
  },
  {
    name: "edits",
    says: "a run is suspended, edited, and set going again",
    operators: 1,
    play: async (stage) => {
      await stage.createRun(spec);
      const first = await stage.podOf(1);
      await stage.kubelet.start(first);
      await stage.editRun({ suspend: true });
      await stage.isStopped(first);
      await stopped(stage, first);
      await stage.stateIs("Suspended");
      await stage.editRun({ checkpoint: { interval: { steps: 50 } } });
      await stage.editRun({ suspend: false });
      await stage.kubelet.start(await stage.podOf(2));
      await finish(stage, 2);
    },
  },
  {
    name: "lost-node",
    says: "nothing is heard of a run's node any more, so that its attempt is given up",
    operators: 1,
    play: async (stage) => {
      await stage.createRun({
        ...spec,
        checkpoint: volume("ReadWriteMany"),
        nodeLost: { policy: "Fence", afterSeconds: 30 },
      });
      const first = await stage.podOf(1);
      await stage.kubelet.start(first);
      await stage.loseNode();
      await stage.other.start(await stage.podOf(2));
      await stage.isGone(first);
      await finish(stage, 2);
    },
  },
  {
    name: "deleted",
    says: "a run is deleted in the middle, with its claim and its objects",
    operators: 1,
    play: async (stage) => {
      await stage.createRun({ ...spec, checkpoint: { ...spec.checkpoint, objectStore }, deletionPolicy: "Delete" });
      const first = await stage.podOf(1);
      await stage.kubelet.start(first);
      await stage.deleteRun();
      await stage.isStopped(first);
      await stopped(stage, first);
      const removal = await stage.removalPod();
      await stage.kubelet.bind(removal);
      await stage.kubelet.endAlone(removal, "delete", { kind: "deleted", seconds: 1 });
      await stage.stateIs("Deleted");
    },
  },
  {
    name: "gang",
    says: "one of two workers is evicted, so that both stop, begin anew together, and end with worker 0",
    operators: 1,
    play: async (stage) => {
      await stage.createRun({ ...spec, workers: 2, checkpoint: volume("ReadWriteMany") });
      const first = await stage.gangOf(1, 2);
      for (const pod of first) await stage.kubelet.start(pod);
      await stage.kubelet.evict(first[1] ?? "");
      for (const pod of first) await stage.isStopped(pod);
      for (const pod of first) await stopped(stage, pod);
      const second = await stage.gangOf(2, 2);
      for (const pod of second) await stage.kubelet.start(pod);
      const agent = { exitCode: 0, record: served({ attempt: 2, resumedFrom, lastStep: 100 }) };
      await stage.kubelet.end(second[1] ?? "", { trainer: { exitCode: 0 }, agent });
      await finish(stage, 2);
    },
  },
  {
    name: "leader-change",
    says: "of two operators the one that leads is asked to end as a pod is evicted, and the next one dies before the program crashes",
    operators: 2,
    play: async (stage) => {
      await setBack(stage, {
        evicted: () => stage.operators.stopLeader(),
        begunAgain: () => stage.operators.killLeader(),
      });
    },
  },
];

const resumedFrom = { step: savedStep, digest: digest("a"), tier: "Volume" } as const;

/** What happens beside, when the first pod is evicted and when the second one runs. */
type Meanwhile = Partial<Readonly<Record<"evicted" | "begunAgain", () => Promise<void>>>>;

/** A run is evicted, then its program crashes, and its third attempt ends it; returns the name of the first pod. */
async function setBack(stage: RealStage, { evicted, begunAgain }: Meanwhile = {}): Promise<string> {
  await stage.createRun(spec);
  const first = await stage.podOf(1);
  await stage.kubelet.start(first);
  await stage.kubelet.evict(first);
  await evicted?.();
  await stopped(stage, first);
  const second = await stage.podOf(2);
  await stage.kubelet.start(second);
  await begunAgain?.();
  await crashed(stage, second);
  await stage.kubelet.start(await stage.podOf(3));
  await finish(stage, 3);
  return first;
}

/** The pod of the first attempt, which was asked to stop, has saved and ended. */
async function stopped({ kubelet }: RealStage, pod: string): Promise<void> {
  const latestVerified = checkpoint(savedStep, 1, "a");
  await kubelet.end(pod, {
    trainer: {
      exitCode: 143,
      record: {
        kind: "preempted",
        attempt: 1,
        step: savedStep,
        finalCheckpoint: "Saved",
        checkpoint: digest("a"),
        graceUsedSeconds: 1,
      },
    },
    agent: {
      exitCode: 0,
      record: served({ attempt: 1, resumedFrom: null, lastStep: savedStep, latestVerified }),
    },
  });
  await kubelet.release(pod);
}

/** The program of the second attempt's pod has crashed. */
async function crashed({ kubelet }: RealStage, pod: string): Promise<void> {
  const agent = { attempt: 2, resumedFrom, lastStep: 80, latestVerified: checkpoint(savedStep, 1, "a") };
  await kubelet.end(pod, { trainer: { exitCode: 1 }, agent: { exitCode: 0, record: served(agent) } });
}

/** The pod of an attempt has come to the last step, and the run is complete. */
async function finish(stage: RealStage, attempt: number): Promise<void> {
  await stage.kubelet.end(await stage.podOf(attempt), {
    trainer: { exitCode: 0, record: { kind: "done", attempt, step: 100, checkpoint: digest("b"), metrics: [] } },
    agent: {
      exitCode: 0,
      record: served({
        attempt,
        resumedFrom: attempt === 1 ? null : resumedFrom,
        lastStep: 100,
        latestVerified: checkpoint(100, attempt, "b"),
        done: digest("b"),
      }),
    },
  });
  await stage.stateIs("Complete");
}
