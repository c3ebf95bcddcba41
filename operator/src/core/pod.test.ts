import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PodEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { expect, test } from "vitest";
import { runWith } from "../../test/run-builder.ts";
import { trainingPod } from "./pod.ts";

const golden = join(import.meta.dirname, "../../test/golden");
const settings = {
  agentImage: "example.com/agent:1",
  agentImagePullPolicy: "IfNotPresent",
  agentResources: { requests: { cpu: "50m", memory: "64Mi" } },
} as const;
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

const cases = {
  "pod-small.json": {
    run: runWith({ status: { latestVerified: saved, checkpoints: [saved] } }),
    worker: 0,
    avoidNodes: [],
  },
  "pod-rich.json": {
    run: runWith({ metadata: { labels: { "kueue.x-k8s.io/queue-name": "gpus" } }, spec: { template: rich } }),
    worker: 0,
    avoidNodes: ["node-a"],
  },
  "pod-gang-lightning.json": {
    run: runWith({ spec: { workers: 2, checkpoint: { framework: "lightning", volume, interval: { steps: 500 } } } }),
    worker: 1,
    avoidNodes: [],
  },
};

// A new operator alone must not change a pod (I11): a change here is a change for every next attempt. To accept it,
// run with UPDATE_GOLDEN=1 and read the difference.
test.each(Object.entries(cases))("the manifest of %s is what it was", (file, { run, worker, avoidNodes }) => {
  const manifest = `${JSON.stringify(trainingPod({ run, entry, worker, settings, avoidNodes }), null, 2)}\n`;
  if (process.env.UPDATE_GOLDEN) writeFileSync(join(golden, file), manifest);
  expect(manifest).toBe(readFileSync(join(golden, file), "utf8"));
});

test("trainer and agent can read what they are told", () => {
  const manifest = trainingPod({ run: runWith(), entry, worker: 0, settings, avoidNodes: [] });
  const { containers } = manifest.spec as { containers: { env: { name: string; value: string }[] }[] };
  const variables = Object.fromEntries((containers[0]?.env ?? []).map(({ name, value }) => [name, value]));
  expect(PodEnvironment.parse(variables)).toMatchObject({
    TRAININGRUN_ATTEMPT: 4,
    TRAININGRUN_INTERVAL: { seconds: 300 },
  });
});
