import type { Digest, Metric } from "@trainingrun/checkpoint/contract/digest.ts";
import type { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import type { TensorDtype } from "../learner.ts";
import type { TrainingState } from "../training-state.ts";

/*
 * What the training thread and whoever writes its checkpoints tell each other. Values travel in slabs: pieces of memory
 * that both see, each owned by one side at a time.
 *
 *     training thread                                     writer
 *           │ ◄──────────────── slab (once, warm) ──────────┤
 *           ├───────────────── save (what, no values) ────► │ header
 *           ├───────────────── filled ────────────────────► │ look through, hash, write
 *           │ ◄──────────────── emptied ────────────────────┤
 *           ├──────── ... in the order of the files ... ──► │ state.json, environment.json, manifest, commit
 *           │ ◄──────────────── ended ──────────────────────┤
 */

/** A tensor of a checkpoint to be, without its values. */
export type TensorLayout = { readonly name: string; readonly dtype: TensorDtype; readonly shape: readonly number[] };

/** One checkpoint to be written. The values of its tensors follow, file after file, each file in a slab of its own. */
export type SaveJob = {
  readonly attempt: number;
  readonly step: number;
  readonly parent: Digest | null;
  readonly metrics: readonly Metric[];
  /** `state.json` and `environment.json`. */
  readonly state: TrainingState;
  readonly environment: unknown;
  /** Tensors whose NaN and infinities are no news. */
  readonly nonFiniteBefore: readonly string[];
  /** Tensors in the order of {@link inFileOrder}. */
  readonly tensorFiles: readonly { readonly path: string; readonly tensors: readonly TensorLayout[] }[];
};

/** From the training thread. */
export type ToWriter =
  | { readonly kind: "prepare"; readonly slabs: number }
  | { readonly kind: "save"; readonly job: SaveJob }
  | { readonly kind: "filled"; readonly slab: number; readonly bytes: number }
  | { readonly kind: "abandon"; readonly why: string };

/** How a save ended. */
export type SaveOutcome =
  | {
      readonly kind: "saved";
      readonly digest: Digest;
      readonly directory: string;
      readonly bytes: number;
      /** What the writer itself took, without waiting for values. */
      readonly busySeconds: number;
    }
  | { readonly kind: "fenced"; readonly message: string; readonly by: FencedError["by"] }
  | { readonly kind: "failed"; readonly message: string };

/** To the training thread. */
export type FromWriter =
  | { readonly kind: "slab"; readonly slab: number; readonly memory: SharedArrayBuffer }
  | { readonly kind: "emptied"; readonly slab: number }
  | { readonly kind: "ended"; readonly outcome: SaveOutcome };
