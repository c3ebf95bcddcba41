import { z } from "zod";
import { Duration } from "./duration.ts";
import { Quantity } from "./quantity.ts";
import { withRules } from "./rule.ts";

const AccessMode = z.enum(["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]);

const ClaimTemplate = z
  .strictObject({
    storageClassName: z.string().max(253).optional().describe("Left out: the cluster's default class."),
    volumeAttributesClassName: z.string().max(253).optional(),
    volumeName: z.string().max(253).optional().describe("Binds the claim to this volume."),
    accessModes: z.array(AccessMode).min(1).max(3),
    selector: z
      .strictObject({ matchLabels: z.record(z.string().max(317), z.string().max(63)) })
      .optional()
      .describe("Binds the claim to a volume with these labels."),
    resources: z.strictObject({ requests: z.strictObject({ storage: Quantity }) }),
  })
  .describe("The spec of the claim that the operator makes for this run.");
export type ClaimTemplate = z.infer<typeof ClaimTemplate>;

const Volume = withRules(
  z.strictObject({
    claimTemplate: ClaimTemplate.optional(),
    claimName: z.string().min(1).max(253).optional().describe("An existing claim in the run's namespace."),
  }),
  [
    {
      cel: "has(self.claimTemplate) != has(self.claimName)",
      message:
        "checkpoint.volume needs exactly one source: write claimTemplate for a claim of the run's own, or claimName for an existing one",
      holds: (volume) => (volume.claimTemplate === undefined) !== (volume.claimName === undefined),
    },
  ],
  "The fast tier: where checkpoints are written first. Left out: a directory that goes with the pod, before objectStore.",
);

const endpointPattern = "^https?://[^/?#@ ]+/?$";

const ObjectStore = withRules(
  z.strictObject({
    endpoint: z.string().max(2048).describe("`https://` and a host, with a port where it is not the usual one."),
    bucket: z.string().min(3).max(63).describe("It must exist: neither operator nor agent creates one."),
    prefix: z.string().max(512).optional().describe("Names below which the run's directory, its uid, is kept."),
    region: z.string().max(63).optional().describe("Left out: us-east-1, which most stores of one's own take."),
    credentialsSecretName: z
      .string()
      .min(1)
      .max(253)
      .describe(
        "Keys accessKeyId, secretAccessKey, optional sessionToken, ca.crt. Mounted for the agent alone, never read by the operator; a change is followed without a restart.",
      ),
  }),
  [
    {
      cel: `self.endpoint.matches('${endpointPattern}')`,
      message:
        "checkpoint.objectStore.endpoint must be http:// or https:// with a host and nothing behind it: write the path into bucket and prefix",
      holds: ({ endpoint }) => new RegExp(endpointPattern).test(endpoint),
    },
  ],
  "The durable tier, optional. Any store that speaks S3.",
);
export type ObjectStoreSpec = z.infer<typeof ObjectStore>;

const Interval = withRules(
  z.strictObject({
    steps: z.int().min(1).optional().describe("Every so many steps."),
    duration: Duration.optional().describe("Every so much time."),
    auto: z
      .strictObject({ maxDuration: Duration })
      .optional()
      .describe("By the measured cost of a save and of an interruption, at most this far apart."),
  }),
  [
    {
      cel: "[has(self.steps), has(self.duration), has(self.auto)].filter(x, x).size() == 1",
      message: "checkpoint.interval needs exactly one of steps, duration and auto: keep one of them",
      holds: ({ steps, duration, auto }) =>
        [steps, duration, auto].filter((source) => source !== undefined).length === 1,
    },
  ],
  "When to save.",
);

const Retention = z
  .strictObject({
    last: z
      .int()
      .min(2)
      .max(1000)
      .default(3)
      .describe("The newest ones to keep. Never fewer than two verified ones stay."),
    best: z
      .strictObject({
        metric: z.string().min(1).max(63),
        mode: z.enum(["Min", "Max"]),
        count: z.int().min(1).max(16).default(1),
      })
      .optional()
      .describe("Also keep the best ones by this metric."),
    everySteps: z.int().min(1).optional().describe("Also keep every multiple of this many steps."),
  })
  .describe("What is kept when there are more checkpoints than needed.");

/** Who saves and who waits for the restore. */
export const Framework = z.enum(["sdk", "lightning", "huggingface", "dcp", "directory"]);
export type Framework = z.infer<typeof Framework>;

/** `spec.checkpoint`. */
export const CheckpointSpec = withRules(
  z.strictObject({
    framework: Framework.default("sdk").describe(
      "Who saves and who waits for the restore: this project's SDK, or a framework's own checkpoints.",
    ),
    volume: Volume.optional(),
    objectStore: ObjectStore.optional(),
    interval: Interval.default({ duration: "5m" }),
    retention: Retention.prefault({}),
    maxBytes: Quantity.optional().describe("The budget that retention keeps, below the volume's size."),
  }),
  [
    {
      cel: "has(self.volume) || has(self.objectStore)",
      message: "checkpoint needs a place to save to: write volume (claimTemplate or claimName), or objectStore",
      holds: (checkpoint) => checkpoint.volume !== undefined || checkpoint.objectStore !== undefined,
    },
    {
      cel: "has(self.volume) == has(oldSelf.volume) && (!has(self.volume) || self.volume == oldSelf.volume)",
      message:
        "checkpoint.volume cannot change once the run exists, because its checkpoints lie there: create a new run that resumes from this one",
    },
    {
      cel: "has(self.objectStore) == has(oldSelf.objectStore) && (!has(self.objectStore) || self.objectStore.bucket == oldSelf.objectStore.bucket)",
      message:
        "checkpoint.objectStore.bucket cannot change, be added or be removed once the run exists: create a new run that resumes from this one",
    },
    {
      cel: "!has(self.objectStore) || !has(oldSelf.objectStore) || (has(self.objectStore.prefix) == has(oldSelf.objectStore.prefix) && (!has(self.objectStore.prefix) || self.objectStore.prefix == oldSelf.objectStore.prefix))",
      message:
        "checkpoint.objectStore.prefix cannot change once the run exists, because its checkpoints lie below it: create a new run that resumes from this one",
    },
  ],
  "Where checkpoints go, how often, and what is kept.",
);
export type CheckpointSpec = z.infer<typeof CheckpointSpec>;
