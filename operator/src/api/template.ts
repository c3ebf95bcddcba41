import { z } from "zod";
import { withRules } from "./rule.ts";

/** The container that trains, where the template has several. */
export const trainerName = "trainer";
/** Names the operator gives to the containers it adds. */
export const agentName = "agent";
export const restoreName = "restore";
/** Names of the volumes it adds. */
export const scratchVolumeName = "trainingrun";
export const claimVolumeName = "trainingrun-checkpoints";
export const credentialsVolumeName = "trainingrun-credentials";
export const sourceVolumeName = "trainingrun-source";
const volumeNames = [scratchVolumeName, claimVolumeName, credentialsVolumeName, sourceVolumeName];
/** Less than this leaves no time to save. */
export const minGraceSeconds = 10;
/** What the API server gives a pod that names no grace period. */
export const defaultGraceSeconds = 30;

const Command = z.array(z.string().max(65536)).max(256);

const Container = z.looseObject({
  name: z.string().min(1).max(63),
  restartPolicy: z.string().max(16).optional(),
  command: Command.optional(),
  args: Command.optional(),
});
export type TemplateContainer = z.infer<typeof Container>;

const PodSpec = z.looseObject({
  containers: z.array(Container).min(1).max(16),
  initContainers: z.array(Container).max(16).optional(),
  volumes: z
    .array(z.looseObject({ name: z.string().max(63) }))
    .max(64)
    .optional(),
  restartPolicy: z.string().max(16).optional(),
  terminationGracePeriodSeconds: z.int().min(0).max(604800).optional(),
});

type Template = { spec: z.infer<typeof PodSpec> };

/** The training container of a template: the one named `trainer`, or the only one. */
export function trainerOf(template: Template): TemplateContainer | undefined {
  const { containers } = template.spec;
  return containers.length === 1 ? containers[0] : containers.find((container) => container.name === trainerName);
}

/** A PodTemplateSpec, passed through whole: fields that are not named here are kept as they are. */
export const PodTemplate = withRules(
  z.looseObject({
    metadata: z
      .looseObject({
        labels: z.record(z.string(), z.string().max(63)).optional(),
        annotations: z.record(z.string(), z.string()).optional(),
      })
      .optional(),
    spec: PodSpec,
  }),
  [
    {
      cel: `self.spec.containers.size() == 1 || self.spec.containers.exists_one(c, c.name == '${trainerName}')`,
      message: `template.spec.containers has several containers and not exactly one named ${trainerName}: name the one that trains ${trainerName}`,
      holds: ({ spec }) =>
        spec.containers.length === 1 || spec.containers.filter(({ name }) => name === trainerName).length === 1,
    },
    {
      cel: "!has(self.spec.restartPolicy) || self.spec.restartPolicy == 'Never'",
      message:
        "template.spec.restartPolicy must be Never or left out: a new attempt is a new pod, not a restarted container",
      holds: ({ spec }) => spec.restartPolicy === undefined || spec.restartPolicy === "Never",
    },
    {
      cel: `self.spec.containers.all(c, (self.spec.containers.size() > 1 && c.name != '${trainerName}') || !has(c.restartPolicy) || c.restartPolicy == 'Never')`,
      message:
        "template.spec.containers: restartPolicy of the training container must be Never or left out: a new attempt is a new pod",
      holds: (template) => {
        const policy = trainerOf(template)?.restartPolicy;
        return policy === undefined || policy === "Never";
      },
    },
    {
      cel: `!has(self.spec.terminationGracePeriodSeconds) || self.spec.terminationGracePeriodSeconds >= ${minGraceSeconds}`,
      message: `template.spec.terminationGracePeriodSeconds must be at least ${minGraceSeconds}: less leaves no time for the final checkpoint; write 60, or what a save takes`,
      holds: ({ spec }) =>
        spec.terminationGracePeriodSeconds === undefined || spec.terminationGracePeriodSeconds >= minGraceSeconds,
    },
    {
      cel: `self.spec.containers.all(c, !(c.name in ['${agentName}', '${restoreName}'])) && (!has(self.spec.initContainers) || self.spec.initContainers.all(c, !(c.name in ['${agentName}', '${restoreName}'])))`,
      message: `template.spec: the container names ${agentName} and ${restoreName} belong to the operator: give yours another name`,
      holds: ({ spec }) =>
        [...spec.containers, ...(spec.initContainers ?? [])].every(
          ({ name }) => name !== agentName && name !== restoreName,
        ),
    },
    {
      cel: `!has(self.spec.volumes) || self.spec.volumes.all(v, !(v.name in [${volumeNames.map((name) => `'${name}'`).join(", ")}]))`,
      message: `template.spec.volumes: the names ${volumeNames.join(", ")} belong to the operator: give yours another name`,
      holds: ({ spec }) => (spec.volumes ?? []).every(({ name }) => !volumeNames.includes(name)),
    },
  ],
  "A PodTemplateSpec, passed through whole. The training container is the one named `trainer`, or the only one.",
);
export type PodTemplate = z.infer<typeof PodTemplate>;
