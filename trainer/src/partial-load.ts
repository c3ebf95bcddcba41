import { maxShownLength, type PartialLoad, reportLimits } from "@trainingrun/checkpoint/contract/resume.ts";
import { IncompatibleError, type Learner, type LoadedTensor, type LoadedTensors } from "./learner.ts";
import type { LoadedState } from "./load-checkpoint.ts";
import { matchesAny } from "./name-pattern.ts";
import {
  compareTensors,
  countDifferences,
  describeTensor,
  describeTensorDifferences,
  type TensorDifferences,
} from "./tensor-differences.ts";

/** What the learner is given in place of what the checkpoint holds, and what was left out for it. */
export type Fitted = {
  readonly weights: LoadedTensors;
  readonly optimizerTensors: LoadedTensors;
  /** Null where every tensor fitted. */
  readonly partial: PartialLoad | null;
};

/**
 * Fits a checkpoint to a script whose structure changed, as far as the patterns of `resume.partial` allow: a weight
 * that is missing or has another shape keeps the value that the script gave it, one that the script does not have is
 * left out, and the optimizer's tensors follow their weight. What the learner is given has the script's structure.
 *
 * @throws {IncompatibleError} with all weights that differ and that no pattern stands for, or where no weight is left.
 */
export function fitPartially<Data>(
  learner: Learner<Data>,
  { weights: saved, optimizerTensors, state }: Pick<LoadedState, "weights" | "optimizerTensors" | "state">,
  patterns: readonly string[],
): Fitted {
  if (patterns.length === 0) return { weights: saved, optimizerTensors, partial: null };
  const own = ownWeights(learner);
  const differences = compareTensors(own, saved);
  requireCovered(differences, patterns);
  const skipped = new Set([...differences.missing, ...differences.reshaped].map(({ name }) => name));
  requireSome(differences, { own: own.size, skipped: skipped.size });
  const weights = new Map(
    [...own].map(([name, tensor]) => [name, skipped.has(name) ? tensor : (saved.get(name) ?? tensor)]),
  );
  const optimizer = fitOptimizer(learner.freshOptimizerTensors?.(state.optimizer) ?? null, optimizerTensors, {
    isSkipped: (weight) => skipped.has(weight),
    mayDiffer: (weight) => matchesAny(patterns, weight),
  });
  const isWhole = countDifferences(differences) + optimizer.skipped === 0;
  return {
    weights,
    optimizerTensors: optimizer.tensors,
    partial: isWhole
      ? null
      : reportOf(differences, { loaded: weights.size - skipped.size, optimizer: optimizer.skipped }),
  };
}

/** A partial load in words; each list names the first few. */
export function describePartial(partial: PartialLoad): string {
  const { loaded, skipped, missing, unexpected, reshaped, optimizerTensors } = partial;
  const lists = [
    ["new in the script", missing],
    ["not in the script", unexpected],
    ["of another shape", reshaped],
  ] as const;
  const named = lists.flatMap(([what, names]) => (names.length === 0 ? [] : [`${what}: ${names.join(", ")}`]));
  const which = named.length === 0 ? "" : ` (${named.join("; ")})`;
  return `${loaded} weights taken, ${skipped} skipped${which}, ${optimizerTensors} tensors of the optimizer not taken`;
}

/** Copies: the learner's own buffers change with the restore that these are for. */
function ownWeights<Data>(learner: Learner<Data>): Map<string, LoadedTensor> {
  const { weights, optimizerTensors } = learner.snapshot();
  const own = weights.map(
    (tensor) => [tensor.name, { dtype: tensor.dtype, shape: tensor.shape, bytes: tensor.read().slice() }] as const,
  );
  for (const tensor of [...weights, ...optimizerTensors]) tensor.release();
  return new Map(own);
}

function requireCovered({ missing, unexpected, reshaped }: TensorDifferences, patterns: readonly string[]): void {
  const isOpen = ({ name }: { name: string }) => !matchesAny(patterns, name);
  const open = {
    missing: missing.filter(isOpen),
    unexpected: unexpected.filter(isOpen),
    reshaped: reshaped.filter(isOpen),
  };
  if (countDifferences(open) === 0) return;
  throw new IncompatibleError(
    "Cannot resume because weights that differ from the script's must be named by resume.partial " +
      `(${patterns.join(", ").slice(0, 120)}): ${describeTensorDifferences(open)}.`,
  );
}

/** What takes nothing of a checkpoint begins anew, and must not pass for a run that has come as far as it. */
function requireSome(differences: TensorDifferences, { own, skipped }: { own: number; skipped: number }): void {
  if (own > skipped || countDifferences(differences) === 0) return;
  throw new IncompatibleError(
    `Cannot resume because a partial load must take at least one weight: none of the script's ${own} is in the ` +
      `checkpoint with its name and shape: ${describeTensorDifferences(differences)}. To begin anew, start another run.`,
  );
}

type Following = {
  readonly isSkipped: (weight: string) => boolean;
  /** Whether the tensors of that weight may differ. */
  readonly mayDiffer: (weight: string) => boolean;
};

/**
 * What no pattern allows for stays as it is in the checkpoint: the learner refuses it by name. A learner that does not
 * say which tensor belongs to which weight takes all of them or none.
 */
function fitOptimizer(
  fresh: ReturnType<NonNullable<Learner<never>["freshOptimizerTensors"]>> | null,
  saved: LoadedTensors,
  { isSkipped, mayDiffer }: Following,
): { tensors: LoadedTensors; skipped: number } {
  if (fresh === null) return { tensors: saved, skipped: 0 };
  const tensors = new Map(saved);
  let skipped = 0;
  for (const { name, weight, tensor } of fresh) {
    if (weight === null || !mayDiffer(weight)) continue;
    const found = saved.get(name);
    const fits = found !== undefined && describeTensor(found) === describeTensor(tensor);
    if (fits && !isSkipped(weight)) continue;
    tensors.set(name, tensor);
    skipped += 1;
  }
  const known = new Set(fresh.map(({ name }) => name));
  for (const name of saved.keys()) {
    if (!known.has(name) && mayDiffer(weightOf(name)) && tensors.delete(name)) skipped += 1;
  }
  return { tensors, skipped };
}

/** The tensor of a weight's slot is called like the weight, a slash and the slot. */
function weightOf(slot: string): string {
  return slot.slice(0, Math.max(0, slot.lastIndexOf("/")));
}

function reportOf(
  differences: TensorDifferences,
  { loaded, optimizer }: { loaded: number; optimizer: number },
): PartialLoad {
  const named = (tensors: readonly { readonly name: string }[]) =>
    tensors.slice(0, reportLimits.tensors).map(({ name }) => name.slice(0, maxShownLength).toWellFormed());
  return {
    loaded,
    skipped: countDifferences(differences),
    missing: named(differences.missing),
    unexpected: named(differences.unexpected),
    reshaped: named(differences.reshaped),
    optimizerTensors: optimizer,
  };
}
