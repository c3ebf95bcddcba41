import type { EnvironmentMismatch, EnvironmentVerdict } from "@trainingrun/checkpoint/contract/resume.ts";
import {
  compareEnvironments,
  describeDifferences,
  environmentVerdict,
} from "@trainingrun/checkpoint/environment-lock.ts";
import { IncompatibleError } from "./learner.ts";

/** Named in a refusal, which fits into a termination record. */
const limits = { named: 3, length: 64 };

/**
 * Compares the environment that saved a checkpoint with the present one. Every difference is said and reported, but
 * where the policy is Ignore it is only reported.
 *
 * @throws {IncompatibleError} with both sides of the differences, where the policy is Block and there is one.
 */
export function checkEnvironment(
  saved: unknown,
  present: unknown,
  { policy, report }: { policy: EnvironmentMismatch; report: (text: string) => void },
): EnvironmentVerdict {
  const differences = compareEnvironments(saved, present);
  if (differences.length > 0 && policy === "Block") {
    throw new IncompatibleError(
      "Cannot resume because the environment must be the one that saved the checkpoint (resume.environmentMismatch is " +
        `Block): ${describeDifferences(differences, limits)}.`,
    );
  }
  if (differences.length > 0 && policy === "Warn") {
    report(`the environment is not the one that saved the checkpoint: ${describeDifferences(differences)}`);
  }
  return environmentVerdict(differences, policy);
}
