import { jobSetSpec } from "../scale/jobset-spec.ts";
import { claimName, idleSidecar, passingInitContainer, plainPod } from "./plain-pod.ts";

/** An object as it is posted. */
export type Posted = Readonly<{ path: string; body: Readonly<Record<string, unknown>> }>;

/** Somebody who keeps the plain container running. */
export type Contender = Readonly<{
  /** Of its object, its pods' label, and its figures. */
  name: string;
  /** Whether there is a checkpoint to wait for before the next interruption. */
  saves: "Checkpoints" | "Nothing";
  /** Created in this order. */
  objects: readonly Posted[];
}>;

const trainer = "trainer.kubeflow.org";
/** Kubeflow finds the job that trains, and its container, by these. */
const ancestor = { [`${trainer}/trainjob-ancestor-step`]: "trainer" };
const onPodConditions = [{ type: "DisruptionTarget", status: "True" }];

/** The shortest wait after a crash that the API takes; an eviction that comes after a step is followed at once by default. */
export const shortBackoff = { backoff: { initialSeconds: 1, maxSeconds: 1 } } as const;

/** A TrainingRun with a retry policy of its own; an empty one is the default. */
export function trainingRun(name: string, retry: Readonly<Record<string, unknown>>): Contender {
  return asRun(name, { retry, template: plainPod(name) });
}

/** The same with an init container of the user's, which ends at once: what a pod with one costs. */
export function trainingRunWithInit(name: string, retry: Readonly<Record<string, unknown>>): Contender {
  const { metadata, spec } = plainPod(name);
  return asRun(name, { retry, template: { metadata, spec: { ...spec, initContainers: [passingInitContainer] } } });
}

/** A `batch/v1` Job that neither counts disruptions nor has two pods at once. */
export function job(name: string): Contender {
  const { metadata, spec } = plainPod(name);
  const jobSpec = {
    backoffLimit: 6,
    podReplacementPolicy: "Failed",
    podFailurePolicy: { rules: [{ action: "Ignore", onPodConditions }] },
    template: { metadata, spec: { ...spec, restartPolicy: "Never" } },
  };
  return { name, saves: "Nothing", objects: [posted({ group: "batch", version: "v1", kind: "Job" }, name, jobSpec)] };
}

/** A JobSet with restart rules: a disruption restarts it for free, a crash counts. */
export function jobSet(name: string): Contender {
  const { metadata, spec } = plainPod(name);
  return asJobSet(name, { metadata, spec: { ...spec, restartPolicy: "Never" } });
}

/** The same with a sidecar that does nothing: what the kubelet takes for the second container of a TrainingRun's pod. */
export function jobSetWithSidecar(name: string): Contender {
  const { metadata, spec } = plainPod(name);
  return asJobSet(name, { metadata, spec: { ...spec, restartPolicy: "Never", initContainers: [idleSidecar] } });
}

/** A TrainJob whose runtime says nothing of restarts, as those do that come with Kubeflow Trainer. */
export function trainJob(name: string): Contender {
  const template = { metadata: { labels: ancestor }, spec: { template: plainPod(name, "node") } };
  return asTrainJob(name, { replicatedJobs: [{ name: "node", replicas: 1, template }] });
}

/** A TrainJob whose runtime has the restart rules of {@link jobSet}. */
export function restartingTrainJob(name: string): Contender {
  const { metadata, spec } = plainPod(name, "node");
  const template = { metadata, spec: { ...spec, restartPolicy: "Never" } };
  return asTrainJob(name, jobSetSpec(template, { job: "node", labels: ancestor }));
}

function asRun(name: string, { template, retry }: { template: unknown; retry: unknown }): Contender {
  const kind = { group: "trainingrun.dev", version: "v1alpha1", kind: "TrainingRun" };
  // Saved is what the program saves by itself.
  const checkpoint = { volume: { claimName }, interval: { steps: 1_000_000 } };
  return { name, saves: "Checkpoints", objects: [posted(kind, name, { template, checkpoint, retry })] };
}

function asJobSet(name: string, template: Readonly<Record<string, unknown>>): Contender {
  const kind = { group: "jobset.x-k8s.io", version: "v1alpha2", kind: "JobSet" };
  return { name, saves: "Nothing", objects: [posted(kind, name, jobSetSpec(template))] };
}

function asTrainJob(name: string, template: unknown): Contender {
  const version = "v1alpha1";
  const runtime = { mlPolicy: { numNodes: 1 }, template: { spec: template } };
  const objects = [
    posted({ group: trainer, version, kind: "TrainingRuntime" }, name, runtime),
    posted({ group: trainer, version, kind: "TrainJob" }, name, { runtimeRef: { kind: "TrainingRuntime", name } }),
  ];
  return { name, saves: "Nothing", objects };
}

type Kind = Readonly<{ group: string; version: string; kind: string }>;

function posted({ group, version, kind }: Kind, name: string, spec: unknown): Posted {
  const path = `/apis/${group}/${version}/namespaces/default/${kind.toLowerCase()}s`;
  return { path, body: { apiVersion: `${group}/${version}`, kind, metadata: { name }, spec } };
}
