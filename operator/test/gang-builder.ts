import type { ObservedPod } from "../src/core/observed.ts";
import { living } from "./observed-builder.ts";
import { podWith, running } from "./pod-builder.ts";
import type { Fields } from "./run-builder.ts";
import { sharedVolume } from "./world.ts";

/** The spec of a gang of three. */
export const gangSpec = { workers: 3, checkpoint: { volume: sharedVolume } };

/** The pod of a worker as the ledger has it; each worker is on a node of its own. */
export const recorded = (worker: number) => ({ uid: `pod-${worker}`, worker, node: nodeOf(worker) });
export const nodeOf = (worker: number) => `node-${"abc"[worker]}`;

/** A run whose attempt 1 lives with these pods of three workers on record. */
export function gang({
  pods = [recorded(0), recorded(1), recorded(2)],
  entry = {},
  spec = {},
  ...fields
}: {
  pods?: Fields[];
  entry?: Fields;
  spec?: Fields;
  status?: Fields;
  metadata?: Fields;
} = {}) {
  return living({ ...fields, spec: { ...gangSpec, ...spec }, entry: { workers: 3, pods, ...entry } });
}

type PodFields = Readonly<{ trainer?: Fields; agent?: Fields; metadata?: Fields; spec?: Fields; status?: Fields }>;

/** The pod of a worker, which trains unless told otherwise. */
export function workerPod(worker: number, { trainer, agent, metadata, spec, status }: PodFields = {}): ObservedPod {
  return podWith({
    metadata: {
      name: `mnist-1-${worker}`,
      uid: `pod-${worker}`,
      labels: {
        "trainingrun.dev/run": "mnist",
        "trainingrun.dev/run-uid": "0123abcd-0000-4000-8000-000000000000",
        "trainingrun.dev/attempt": "1",
        "trainingrun.dev/worker": `${worker}`,
      },
      ...metadata,
    },
    spec: { nodeName: nodeOf(worker), ...spec },
    status: {
      containerStatuses: [trainer ?? running("trainer")],
      initContainerStatuses: [agent ?? running("agent")],
      ...status,
    },
  });
}
