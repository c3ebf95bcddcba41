import { agentPort } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { accountingFinalizer } from "../api/names.ts";
import type { AttemptEntry } from "../api/status.ts";
import { agentName, restoreName, type TemplateContainer, trainerOf } from "../api/template.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { awayFromNodes } from "./affinity.ts";
import type { Manifest } from "./decision.ts";
import { sourceMounts, sourceVolumes } from "./fork-source.ts";
import { type Json, listOf, objectOf } from "./json.ts";
import { controllerReference, podLabels, podName, serviceName } from "./names.ts";
import { agentVariables, paths, trainerVariables, type Variable } from "./pod-environment.ts";
import type { PodSettings } from "./pod-settings.ts";
import { queueMetadata } from "./queue-metadata.ts";
import { credentialsMounts, storageMounts, storageVolumes } from "./storage-volumes.ts";
import { workersOf } from "./workers.ts";

/** What a pod is built from. */
export type PodPlan = Readonly<{
  run: TrainingRun;
  entry: AttemptEntry;
  worker: number;
  settings: PodSettings;
  /** Nodes on which checkpoints that are good elsewhere did not verify. */
  avoidNodes: readonly string[];
}>;

/** The training pod of one worker: the user's template, untouched but for what the contract needs. */
export function trainingPod(plan: PodPlan): Manifest {
  const { run, entry, worker } = plan;
  const { metadata = {} } = run.spec.template;
  const name = podName(run, entry.number, worker);
  const queued = queueMetadata(run, entry);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...metadata,
      name,
      namespace: run.metadata.namespace,
      labels: {
        ...metadata.labels,
        ...queued.labels,
        ...podLabels(run, { attempt: entry.number, worker }),
      },
      ...(queued.annotations === undefined ? {} : { annotations: { ...metadata.annotations, ...queued.annotations } }),
      finalizers: [accountingFinalizer],
      ownerReferences: [controllerReference(run)],
    },
    spec: podSpec(plan, name),
  };
}

function podSpec(plan: PodPlan, name: string): Json {
  const { run, entry, avoidNodes } = plan;
  const { spec } = run.spec.template;
  const trainer = trainerOf(run.spec.template);
  return {
    ...spec,
    ...(avoidNodes.length > 0 ? { affinity: awayFromNodes(spec.affinity, avoidNodes) } : {}),
    ...(workersOf(entry) > 1 ? { hostname: name, subdomain: serviceName(run) } : {}),
    restartPolicy: "Never",
    // Ours come first: the restore runs while the template's own init containers prepare their part.
    initContainers: [...operatorContainers(plan, trainer), ...(spec.initContainers ?? [])],
    containers: spec.containers.map((container) =>
      container === trainer ? trainerContainer(plan, container) : container,
    ),
    volumes: [...(spec.volumes ?? []), ...storageVolumes(run), ...sourceVolumes(run, entry)],
  };
}

function trainerContainer({ run, entry, worker }: PodPlan, container: TemplateContainer): Json {
  return {
    ...container,
    env: withVariables(listOf(container.env), trainerVariables(run, entry, worker)),
    volumeMounts: [...listOf(container.volumeMounts), ...storageMounts(run)],
    terminationMessagePath: paths.terminationLog,
    terminationMessagePolicy: container.terminationMessagePolicy ?? "FallbackToLogsOnError",
  };
}

/** Where a framework knows nothing of us, the restore is a container of its own that must end first. */
function operatorContainers(plan: PodPlan, trainer: TemplateContainer | undefined): Json[] {
  const agent = {
    ...operatorContainer(plan, trainer),
    name: agentName,
    args: ["serve"],
    restartPolicy: "Always",
    ports: [{ name: "agent", containerPort: agentPort, protocol: "TCP" }],
  };
  if (plan.run.spec.checkpoint.framework === "sdk") return [agent];
  return [{ ...operatorContainer(plan, trainer), name: restoreName, args: ["restore"] }, agent];
}

function operatorContainer({ run, entry, worker, settings }: PodPlan, trainer: TemplateContainer | undefined): Json {
  return {
    image: settings.agentImage,
    imagePullPolicy: settings.agentImagePullPolicy,
    resources: settings.agentResources,
    env: agentVariables(run, entry, worker),
    volumeMounts: [
      ...storageMounts(run),
      ...sourceMounts(run, entry),
      ...credentialsMounts(run.spec.checkpoint.objectStore),
    ],
    securityContext: agentSecurity(run, trainer),
    terminationMessagePath: paths.terminationLog,
    terminationMessagePolicy: "File",
  };
}

/** As the trainer's user, so that each can read what the other wrote; otherwise as confined as a container can be. */
export function agentSecurity(run: TrainingRun, trainer: TemplateContainer | undefined): Json {
  const theirs = objectOf(trainer?.securityContext);
  const pod = objectOf(run.spec.template.spec.securityContext);
  const identity = Object.fromEntries(
    ["runAsUser", "runAsGroup", "runAsNonRoot"].flatMap((field) => (field in theirs ? [[field, theirs[field]]] : [])),
  );
  return {
    ...identity,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    readOnlyRootFilesystem: true,
    ...("seccompProfile" in pod ? {} : { seccompProfile: theirs.seccompProfile ?? { type: "RuntimeDefault" } }),
  };
}

/** Ours come first, so that the template's may refer to them; a template cannot replace one of ours. */
function withVariables(theirs: readonly unknown[], ours: readonly Variable[]): unknown[] {
  const names = new Set<unknown>(ours.map(({ name }) => name));
  return [...ours, ...theirs.filter((variable) => !names.has(objectOf(variable).name))];
}
