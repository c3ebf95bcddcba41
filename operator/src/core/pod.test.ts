import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  AgentEnvironment,
  DeleteEnvironment,
  PodEnvironment,
} from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { expect, test } from "vitest";
import { type Fields, runWith } from "../../test/run-builder.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { trainingPod } from "./pod.ts";
import { queuePlace } from "./queue-metadata.ts";
import { removalPod } from "./removal-pod.ts";

const golden = join(import.meta.dirname, "../../test/golden");
const settings = {
  agentImage: "example.com/agent:1",
  agentImagePullPolicy: "IfNotPresent",
  agentResources: { requests: { cpu: "50m", memory: "64Mi" } },
} as const;
const entryOf = (run: TrainingRun) => {
  const { workers } = run.spec;
  const queue = queuePlace(run, { number: entry.number, workers });
  return { ...entry, ...(workers === 1 ? {} : { workers }), ...(queue === undefined ? {} : { queue }) };
};
const entry = { number: 4, generation: 3, pods: [], startTime: "2026-01-01T00:00:00.000Z" };
const digest = `blake3:${"c".repeat(64)}`;
const saved = {
  step: 500,
  attempt: 3,
  digest,
  bytes: 9,
  time: "2026-01-01T00:00:00.000Z",
  tiers: ["Volume"],
  metrics: [],
};
const volume = { claimTemplate: { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } } };
const rich = {
  metadata: { labels: { team: "vision" }, annotations: { note: "mine" } },
  spec: {
    terminationGracePeriodSeconds: 60,
    schedulingGates: [{ name: "example.com/gate" }],
    securityContext: { fsGroup: 1000, seccompProfile: { type: "RuntimeDefault" } },
    initContainers: [{ name: "data", image: "example.com/data" }],
    volumes: [{ name: "cache", emptyDir: {} }],
    containers: [
      { name: "log", image: "example.com/log" },
      {
        name: "trainer",
        image: "example.com/mnist",
        env: [
          { name: "TRAININGRUN_UID", value: "forged" },
          { name: "SEED", value: "7" },
        ],
        volumeMounts: [{ name: "cache", mountPath: "/cache" }],
        securityContext: { runAsUser: 1000, runAsGroup: 1000 },
      },
    ],
  },
};

const objectStore = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3" };

const cases = {
  "pod-small.json": {
    run: runWith({ status: { latestVerified: saved, checkpoints: [saved] } }),
    worker: 0,
    avoidNodes: [],
  },
  "pod-rich.json": {
    run: runWith({
      metadata: {
        labels: {
          "kueue.x-k8s.io/queue-name": "gpus",
          "kueue.x-k8s.io/priority-class": "urgent",
          mine: "not the pod's",
        },
      },
      spec: { template: rich },
    }),
    worker: 0,
    avoidNodes: ["node-a"],
  },
  "pod-gang-lightning.json": {
    run: runWith({ spec: { workers: 2, checkpoint: { framework: "lightning", volume, interval: { steps: 500 } } } }),
    worker: 1,
    avoidNodes: [],
  },
  "pod-gang-queued.json": {
    run: runWith({
      metadata: { labels: { "kueue.x-k8s.io/queue-name": "gpus" } },
      spec: { workers: 2, template: rich, checkpoint: { volume, interval: { steps: 500 } } },
    }),
    worker: 0,
    avoidNodes: [],
  },
  "pod-mirrored-lightning.json": {
    run: runWith({
      spec: {
        template: rich,
        checkpoint: {
          framework: "lightning",
          volume,
          objectStore: { ...objectStore, prefix: "/team-a/", region: "eu-1" },
        },
      },
    }),
    worker: 0,
    avoidNodes: [],
  },
  "pod-without-volume.json": {
    run: runWith({ spec: { checkpoint: { objectStore, maxBytes: "15Gi" } } }),
    worker: 0,
    avoidNodes: [],
  },
};

// A new operator alone must not change a pod (I11): a change here is a change for every next attempt. To accept it,
// run with UPDATE_GOLDEN=1 and read the difference.
test.each(Object.entries(cases))("the manifest of %s is what it was", (file, { run, worker, avoidNodes }) => {
  expectGolden(file, trainingPod({ run, entry: entryOf(run), worker, settings, avoidNodes }));
});

function expectGolden(file: string, pod: unknown): void {
  const manifest = `${JSON.stringify(pod, null, 2)}\n`;
  if (process.env.UPDATE_GOLDEN) writeFileSync(join(golden, file), manifest);
  expect(manifest).toBe(readFileSync(join(golden, file), "utf8"));
}

test("the manifest of the pod that removes the objects of a run is what it was", () => {
  const queued = {
    ...rich,
    metadata: { ...rich.metadata, labels: { team: "vision", "kueue.x-k8s.io/queue-name": "q" } },
  };
  const placed = { tolerations: [{ operator: "Exists" }], nodeSelector: { zone: "a" }, serviceAccountName: "trainer" };
  const template = { ...queued, spec: { ...rich.spec, ...placed } };
  const run = runWith({ spec: { template, checkpoint: { objectStore }, deletionPolicy: "Delete" } });
  const pod = removalPod(run, objectStore, settings);
  expectGolden("removal-pod.json", pod);
  const [container] = (pod.spec as Spec).containers;
  expect(DeleteEnvironment.parse(variablesOf(container ?? { name: "" }))).toMatchObject({
    TRAININGRUN_UID: run.metadata.uid,
    TRAININGRUN_OBJECT_STORE: { bucket: "checkpoints", prefix: "" },
  });
});

type Container = Readonly<{ name: string; env?: readonly Fields[]; volumeMounts?: readonly Fields[] }>;
type Spec = Readonly<{ containers: readonly Container[]; initContainers: readonly Container[] }>;

function containersOf({ run, worker, avoidNodes }: (typeof cases)[keyof typeof cases]) {
  const { containers, initContainers } = trainingPod({ run, entry: entryOf(run), worker, settings, avoidNodes })
    .spec as Spec;
  const ours = initContainers.filter(({ name }) => name === "agent" || name === "restore");
  return { ours, theirs: [...containers, ...initContainers.filter((each) => !ours.includes(each))] };
}

/** What a container is told, as it reads it; what the kubelet fills in stands as a word. */
function variablesOf({ env = [] }: Container): Record<string, unknown> {
  return Object.fromEntries(env.map(({ name, value }) => [String(name), value ?? "filled-in"]));
}

test.each(Object.entries(cases))("trainer and agent of %s can read what they are told", (_, given) => {
  const { ours, theirs } = containersOf(given);
  const trainer = theirs.find(({ name }) => name === "trainer");
  const told = PodEnvironment.parse(variablesOf(trainer ?? { name: "" }));
  expect(told).toMatchObject({ TRAININGRUN_ATTEMPT: 4 });
  for (const container of ours) expect(AgentEnvironment.parse(variablesOf(container))).toMatchObject(told);
});

test("the trainer is told what retention ranks by, for only what is saved at its step can be ranked", () => {
  const given = cases["pod-small.json"];
  const retention = { last: 3, best: { metric: "accuracy", mode: "Max", count: 2 } };
  const run = runWith({ spec: { checkpoint: { volume, interval: { steps: 500 }, retention } } });
  const [trainer] = containersOf({ ...given, run }).theirs;
  const { TRAININGRUN_BEST } = PodEnvironment.parse(variablesOf(trainer ?? { name: "" }));
  expect(TRAININGRUN_BEST).toEqual({ metric: "accuracy", mode: "Max" });
});

test("the agent learns where the objects lie, and whether what is saved outlives the pod", () => {
  const [agent] = containersOf(cases["pod-mirrored-lightning.json"]).ours;
  const [alone] = containersOf(cases["pod-without-volume.json"]).ours;
  expect(AgentEnvironment.parse(variablesOf(agent ?? { name: "" }))).toMatchObject({
    TRAININGRUN_OBJECT_STORE: {
      endpoint: "https://s3.example.com",
      bucket: "checkpoints",
      prefix: "team-a",
      region: "eu-1",
    },
    TRAININGRUN_CREDENTIALS: "/trainingrun/credentials",
    TRAININGRUN_VOLUME: "Durable",
  });
  expect(AgentEnvironment.parse(variablesOf(alone ?? { name: "" }))).toMatchObject({
    TRAININGRUN_OBJECT_STORE: { prefix: "", region: null },
    TRAININGRUN_VOLUME: "Ephemeral",
  });
});

test("no container of the template is given the keys, or told where the objects lie", () => {
  let withKeys = 0;
  for (const given of Object.values(cases)) {
    const { ours, theirs } = containersOf(given);
    const keyed = (container: Container) => JSON.stringify(container).includes("credentials");
    withKeys += ours.filter(keyed).length;
    expect(theirs.filter(keyed)).toEqual([]);
    expect(theirs.filter((container) => "TRAININGRUN_OBJECT_STORE" in variablesOf(container))).toEqual([]);
  }
  // Agent and restore of one run, the agent of the other.
  expect(withKeys).toBe(3);
});
