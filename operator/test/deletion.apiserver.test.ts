import { describe, type ExpectStatic, it } from "vitest";
import { trainingRuns } from "../src/control/caches.ts";
import { claims, pods, services } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import type { End } from "./fake-kubelet.ts";
import { digest } from "./records.ts";
import type { Fields } from "./run-builder.ts";
import { RunPlace, unlessGone } from "./run-place.ts";
import { sharedVolume } from "./world.ts";

const api = useApiServer(installTrainingRuns);

/** What the garbage collector finds: the claim, and ended pods that nobody holds. */
async function expectFree(expect: ExpectStatic, place: RunPlace, claimsLeft: number): Promise<void> {
  for (const { metadata } of await place.list(pods)) {
    expect([metadata.name, metadata.finalizers ?? []]).toEqual([metadata.name, []]);
    expect(metadata.ownerReferences).toMatchObject([{ kind: "TrainingRun", name: "mnist", controller: true }]);
  }
  expect(await place.keptClaims()).toHaveLength(claimsLeft);
  expect(place.life.errors).toEqual([]);
}

const crashed: End = { exitCode: 1 };
const preempted: End = {
  exitCode: 143,
  record: {
    kind: "preempted",
    attempt: 1,
    step: 7,
    finalCheckpoint: "Saved",
    checkpoint: digest("a"),
    graceUsedSeconds: 1,
  },
};
const done: End = {
  exitCode: 0,
  record: { kind: "done", attempt: 1, step: 100, checkpoint: digest("a"), metrics: [] },
};
const untrained = {
  schedulerName: "the-test",
  containers: [{ name: "trainer", image: "trainer:1", command: ["train"] }],
};
const queueGate = "kueue.x-k8s.io/admission";
const slowly = { retry: { failures: 3, backoff: { initialSeconds: 3600, maxSeconds: 3600 } } };

/** A phase of a run's life, how it comes to it, and whether a pod has to end before it goes. */
type Phase = Readonly<{
  name: string;
  reach: (place: RunPlace) => Promise<void>;
  podsToEnd: readonly string[];
  claimsLeft: number;
  /** Whether the operator reads nodes there. */
  watchNodes?: boolean;
}>;

async function running(place: RunPlace, spec: Fields = {}): Promise<string> {
  await place.create(spec);
  const name = await place.recorded();
  await place.kubelet.start(name);
  return name;
}

const gang = { workers: 2, checkpoint: { volume: sharedVolume } };
const both = ["mnist-1-0", "mnist-1-1"] as const;

async function runningGang(place: RunPlace): Promise<void> {
  await place.create(gang);
  await place.recorded(1, both.length);
  for (const name of both) await place.kubelet.start(name);
}

const phases: readonly Phase[] = [
  {
    name: "Pending, its pod not scheduled yet",
    reach: async (place) => {
      await place.create();
      await place.recorded();
      await place.isIn("Pending");
    },
    podsToEnd: [],
    claimsLeft: 1,
  },
  {
    name: "Blocked, for want of its claim",
    reach: async (place) => {
      await place.create({ checkpoint: { volume: { claimName: "not-there" } } });
      await place.says("ClaimMissing");
    },
    podsToEnd: [],
    claimsLeft: 0,
  },
  {
    name: "Restoring",
    reach: async (place) => {
      await running(place);
      await place.isIn("Restoring");
    },
    podsToEnd: ["mnist-1-0"],
    claimsLeft: 1,
  },
  {
    name: "Restoring, as a gang",
    reach: runningGang,
    podsToEnd: both,
    claimsLeft: 1,
  },
  {
    name: "Saving, because one of its gang was evicted",
    reach: async (place) => {
      await runningGang(place);
      await place.kubelet.evict("mnist-1-1");
      for (const name of both) await place.asked(name);
    },
    podsToEnd: both,
    claimsLeft: 1,
  },
  {
    name: "waiting in a queue, its pod not let go yet",
    reach: async (place) => {
      // Kueue's webhook puts this gate on; here the user's own template does.
      await place.create({ template: { spec: { ...untrained, schedulingGates: [{ name: queueGate }] } } });
      await place.recorded();
      await place.says("SchedulingGated");
    },
    podsToEnd: [],
    claimsLeft: 1,
  },
  {
    name: "on a node that went silent, and the policy counts (Fence)",
    reach: async (place) => {
      await running(place, { checkpoint: { volume: sharedVolume }, nodeLost: { policy: "Fence", afterSeconds: 600 } });
      await place.kubelet.fallSilent();
      await until("the silence is counted", async () => (await place.status()).silence);
    },
    podsToEnd: ["mnist-1-0"],
    claimsLeft: 1,
    watchNodes: true,
  },
  {
    name: "Saving, because it was suspended",
    reach: async (place) => {
      const name = await running(place);
      await place.edit({ suspend: true });
      await place.asked(name);
      await place.isIn("Saving");
    },
    podsToEnd: ["mnist-1-0"],
    claimsLeft: 1,
  },
  {
    name: "Suspended",
    reach: async (place) => {
      const name = await running(place);
      await place.edit({ suspend: true });
      await place.asked(name);
      await place.finish(name, preempted);
      await place.kubelet.release(name);
      await place.isIn("Suspended");
    },
    podsToEnd: [],
    claimsLeft: 1,
  },
  {
    name: "Backoff",
    reach: async (place) => {
      await place.finish(await running(place, slowly), crashed);
      await place.isIn("Backoff");
    },
    podsToEnd: [],
    claimsLeft: 1,
  },
  {
    name: "Complete",
    reach: async (place) => {
      await place.finish(await running(place), done, { done: digest("a") });
      await place.isIn("Complete");
    },
    podsToEnd: [],
    claimsLeft: 1,
  },
  {
    name: "Failed",
    reach: async (place) => {
      await place.finish(await running(place, { retry: { failures: 0 } }), crashed);
      await place.isIn("Failed");
    },
    podsToEnd: [],
    claimsLeft: 1,
  },
];

describe.concurrent("a run that is deleted while it is", () => {
  it.for(phases)("$name goes, and holds nothing back (L5)", async (phase, context) => {
    const { reach, podsToEnd, claimsLeft, watchNodes = false } = phase;
    const { expect, onTestFinished } = context;
    const place = new RunPlace(api, { watchNodes });
    await place.begin();
    onTestFinished(() => place.end());
    await reach(place);
    await place.delete();
    for (const name of podsToEnd) await place.asked(name);
    for (const name of podsToEnd) {
      expect((await place.list(trainingRuns)).map(({ metadata }) => metadata.name)).toEqual(["mnist"]);
      await place.finish(name, preempted);
      await place.kubelet.release(name);
    }
    await place.isGone();
    await expectFree(expect, place, claimsLeft);
  });
});

describe.concurrent("a namespace that is deleted under a living run", () => {
  const orders = [
    { first: trainingRuns, second: pods },
    { first: pods, second: trainingRuns },
  ] as const;
  const kinds = [
    { what: "one pod", names: ["mnist-1-0"], begin: running },
    { what: "a gang", names: both, begin: runningGang },
  ] as const;
  const rows = orders.flatMap((order) => kinds.map((kind) => ({ ...order, ...kind })));
  it.for(rows)("of $what is emptied, $first.plural first: nobody waits for what cannot come", async (row, context) => {
    const { first, second, names, begin } = row;
    const { expect, onTestFinished } = context;
    const place = new RunPlace(api);
    await place.begin();
    onTestFinished(() => place.end());
    await begin(place);
    await place.terminate();
    await place.sweep(first);
    for (const name of names) await place.asked(name);
    for (const name of names) await place.finish(name, preempted);
    await place.sweep(second);
    for (const name of names) await place.kubelet.release(name).catch(unlessGone);
    for (const left of [claims, services]) await place.sweep(left);
    await place.isGone();
    for (const left of [pods, services]) {
      await until(`no ${left.plural} are left`, async () => (await place.list(left)).length === 0 || undefined);
    }
    expect(await place.keptClaims()).toEqual([]);
  });
});

describe.concurrent("a run that has ended with ttlSecondsAfterFinished", () => {
  it.for([
    ["keeps", "Retain", 1],
    ["takes", "Delete", 0],
  ] as const)("is deleted by itself, and %s its claim", async ([_, deletionPolicy, left], context) => {
    const { expect, onTestFinished } = context;
    const place = new RunPlace(api);
    await place.begin();
    onTestFinished(() => place.end());
    await place.finish(await running(place, { ttlSecondsAfterFinished: 1, deletionPolicy }), done, {
      done: digest("a"),
    });
    await place.isGone();
    await expectFree(expect, place, left);
  });
});
