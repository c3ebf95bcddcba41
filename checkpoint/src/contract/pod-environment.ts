import { z } from "zod";
import { AttemptNumber, Digest, Step, Tier } from "./digest.ts";
import { ResumePolicy } from "./resume.ts";

/** When to save: every so many steps, every so many seconds, or by the measured cost (at most `maxSeconds` apart). */
export const Interval = z.union([
  z.strictObject({ steps: z.int().min(1) }),
  z.strictObject({ seconds: z.number().positive() }),
  z.strictObject({ auto: z.strictObject({ maxSeconds: z.number().positive() }) }),
]);
export type Interval = z.infer<typeof Interval>;

/** By which metric of an evaluation one checkpoint is better than another. */
export const BestMetric = z.object({ metric: z.string().min(1).max(63), mode: z.enum(["Min", "Max"]) });
export type BestMetric = z.infer<typeof BestMetric>;

/** What retention keeps. `best.count` checkpoints by metric, the `last` newest, and every multiple of `everySteps`. */
export const RetentionPolicy = z.object({
  last: z.int().min(2),
  best: BestMetric.extend({ count: z.int().min(1) }).nullable(),
  everySteps: z.int().min(1).nullable(),
  maxBytes: z.int().min(1).nullable(),
});
export type RetentionPolicy = z.infer<typeof RetentionPolicy>;

/** `TRAININGRUN_OBJECT_STORE`: where the run's objects lie. The keys come from files, see {@link credentialsDirectory}. */
export const ObjectStoreSettings = z.object({
  /** `http://` or `https://`, a host, and a port where it is not the scheme's. */
  endpoint: z.string().min(1).max(2048),
  bucket: z.string().min(1).max(63),
  /** Names below which runs are kept; empty for the bucket itself. */
  prefix: z.string().max(512).default(""),
  region: z.string().max(63).nullable().default(null),
});
export type ObjectStoreSettings = z.infer<typeof ObjectStoreSettings>;

/** A checkpoint of another run that this one is to begin with: copied into its own tiers, and opened on there. */
export const ForkSource = z.object({
  /** Uid of the run that saved it. */
  run: z.string().min(1).max(63),
  /** By its step, as the log of that run tells, or by where it lies below that run's directory. */
  checkpoint: z.union([
    z.strictObject({ step: Step }),
    z.strictObject({ directory: z.string().min(1).max(255), digest: Digest }),
  ]),
  /** Where that run's directory is mounted, to be read alone; absent where no volume is. */
  volume: z.string().min(1).max(4096).optional(),
  /** Where its objects lie; the keys are those of this run's own store. Absent where none is to be asked. */
  objectStore: ObjectStoreSettings.optional(),
  /** Taken already where an attempt from this number on has opened the log: each of them was asked for it. */
  since: AttemptNumber,
});
export type ForkSource = z.infer<typeof ForkSource>;

/** `TRAININGRUN_EXPECTED`: what the operator has recorded about the run, for the restore alone. */
export const Expected = z.object({
  /** The newest verified checkpoint on record; null when none was ever recorded. */
  latestVerified: z.object({ step: Step, digest: Digest }).nullable(),
  /** Recorded verified digests, newest first, and where they lay; absent from an operator that does not say so. */
  recorded: z.array(z.object({ step: Step, digest: Digest, tiers: z.array(Tier).max(2).optional() })).max(16),
  /** Digests that must not be resumed from, and why they are known. */
  refused: z.array(Digest).max(16),
  /** A base the user chose; passed until an attempt of this generation has opened with it. With `source` it is another run's. */
  base: z.object({ step: Step.optional(), digest: Digest.optional(), source: ForkSource.optional() }).nullable(),
  noneVerified: z.enum(["Fail", "StartOver"]),
  unhealthy: z.enum(["Skip", "Accept"]),
  environmentMismatch: z.enum(["Ignore", "Warn", "Block"]),
});
export type Expected = z.infer<typeof Expected>;

/** What nobody has recorded outside the log: a run at hand, which no operator watches. */
export const nothingExpected: Expected = {
  latestVerified: null,
  recorded: [],
  refused: [],
  base: null,
  noneVerified: "Fail",
  unhealthy: "Skip",
  environmentMismatch: "Ignore",
};

/** Where the Secret's files lie, in the containers of the agent alone: `accessKeyId`, `secretAccessKey`, and the optional ones. */
export const credentialsDirectory = "/trainingrun/credentials";

/** Whether what lies at `TRAININGRUN_CHECKPOINTS` outlives the pod; an `emptyDir` does not. */
export const VolumeDurability = z.enum(["Durable", "Ephemeral"]);
export type VolumeDurability = z.infer<typeof VolumeDurability>;

const json = <T extends z.ZodType>(schema: T) =>
  z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: "custom", message: `must be JSON: ${text.slice(0, 80)}` });
        return z.NEVER;
      }
    })
    .pipe(schema);

/**
 * The variables of a training pod. The operator sets all of them on the agent and those a trainer needs on
 * the trainer; paths are absolute. Nothing in the pod knows a path that is not among these.
 */
export const PodEnvironment = z.object({
  TRAININGRUN_NAME: z.string().min(1),
  TRAININGRUN_NAMESPACE: z.string().min(1),
  TRAININGRUN_UID: z.string().min(1),
  TRAININGRUN_ATTEMPT: z.coerce.number().pipe(AttemptNumber),
  TRAININGRUN_WORKER: z.coerce.number().pipe(z.int().min(0)),
  TRAININGRUN_WORKERS: z.coerce.number().pipe(z.int().min(1)),
  /** The run's directory on the volume: it holds `log/` and `data/`. */
  TRAININGRUN_CHECKPOINTS: z.string().min(1),
  TRAININGRUN_VOLUME: VolumeDurability.default("Durable"),
  /** A link to the checkpoint to start from, made by the restore; absent on a first start. */
  TRAININGRUN_RESUME: z.string().min(1),
  /** The directory of `progress.json`, `restored` and `save`. */
  TRAININGRUN_CONTROL: z.string().min(1),
  TRAININGRUN_TERMINATION_LOG: z.string().min(1),
  TRAININGRUN_GRACE_SECONDS: z.coerce.number().pipe(z.number().positive()),
  TRAININGRUN_INTERVAL: json(Interval),
  /** What retention ranks by, which a script that names no `best` of its own goes by; absent where it ranks nothing. */
  TRAININGRUN_BEST: json(BestMetric).optional(),
  /** Absent in the pods of an operator that does not know it: then the defaults hold. */
  TRAININGRUN_RESUME_POLICY: json(ResumePolicy).optional(),
  /** No new step for so long is a stall; absent where none is watched for. */
  TRAININGRUN_STALL_SECONDS: z.coerce.number().pipe(z.number().positive()).optional(),
});
export type PodEnvironment = z.infer<typeof PodEnvironment>;

/**
 * A variable of the trainer's container that a user sets: the signal, `SIGUSR1` or `SIGUSR2`, at which the trainer's program
 * appends to `control/dump` what it is doing, as Python's `faulthandler` does. The pod has to share its process namespace.
 */
export const dumpSignalVariable = "TRAININGRUN_DUMP_SIGNAL";

/** What only the agent is told, on top of {@link PodEnvironment}. */
export const AgentEnvironment = PodEnvironment.extend({
  TRAININGRUN_POD_UID: z.string().min(1),
  /** The address to listen on: the pod's own. */
  TRAININGRUN_POD_IP: z.string().min(1),
  TRAININGRUN_NODE: z.string().min(1),
  /** The trainer's image as the template names it; environment.json records it. */
  TRAININGRUN_IMAGE: z.string().optional(),
  TRAININGRUN_FRAMEWORK: z.enum(["sdk", "lightning", "huggingface", "dcp", "directory"]),
  /** `metadata.generation` of the run when the attempt was numbered. */
  TRAININGRUN_GENERATION: z.coerce.number().pipe(z.int().min(0)),
  TRAININGRUN_RETENTION: json(RetentionPolicy),
  TRAININGRUN_EXPECTED: json(Expected),
  /** Absent where the run has none. */
  TRAININGRUN_OBJECT_STORE: json(ObjectStoreSettings).optional(),
  /** Directory of the key files. */
  TRAININGRUN_CREDENTIALS: z.string().min(1).default(credentialsDirectory),
});
export type AgentEnvironment = z.infer<typeof AgentEnvironment>;

/** What `agent delete` is told: the pod that removes a deleted run's objects has no trainer, volume or attempt. */
export const DeleteEnvironment = z.object({
  TRAININGRUN_NAME: z.string().min(1),
  TRAININGRUN_NAMESPACE: z.string().min(1),
  TRAININGRUN_UID: z.string().min(1),
  TRAININGRUN_TERMINATION_LOG: z.string().min(1),
  TRAININGRUN_OBJECT_STORE: json(ObjectStoreSettings),
  TRAININGRUN_CREDENTIALS: z.string().min(1).default(credentialsDirectory),
});
export type DeleteEnvironment = z.infer<typeof DeleteEnvironment>;
