import { z } from "zod";

/** Hash algorithms a manifest may name, strongest preference first. */
export const hashAlgorithms = ["blake3", "sha256"] as const;
export type HashAlgorithm = (typeof hashAlgorithms)[number];

/** `<algorithm>:<64 lower-case hex digits>`: the name of a manifest, a file or a set of weights everywhere. */
export const Digest = z.string().regex(/^(blake3|sha256):[0-9a-f]{64}$/, "must be blake3:<64 hex> or sha256:<64 hex>");
export type Digest = z.infer<typeof Digest>;

/** A step count: whole optimizer steps since the run began, 0 before the first. */
export const Step = z.int().min(0);
/** Passes over the data: whole ones that were completed, or with a fraction, as the framework counts them. */
export const Epoch = z.number().min(0);
/** An attempt's number, from 1. */
export const AttemptNumber = z.int().min(1);
/** An instant, RFC 3339 in UTC. Shown to people; never used to order checkpoints or attempts (I8). */
export const Time = z.iso.datetime();
/** A decimal number in a string, as Kubernetes objects carry floats; `NaN`, `Infinity`, `-Infinity` are allowed. */
export const Decimal = z
  .string()
  .max(32)
  .regex(/^(NaN|-?Infinity|-?\d+(\.\d+)?([eE][+-]?\d+)?)$/, "must be a decimal number");

/** One named measurement of a step, such as the loss. */
export const Metric = z.object({ name: z.string().min(1).max(63), value: Decimal });
export type Metric = z.infer<typeof Metric>;
export const Metrics = z.array(Metric).max(32);

/** Where a copy of a checkpoint lies: on the run's volume or in its object store. */
export const Tier = z.enum(["Volume", "ObjectStore"]);
export type Tier = z.infer<typeof Tier>;
