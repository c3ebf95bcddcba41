import { PodEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { ResumePolicy } from "@trainingrun/checkpoint/contract/resume.ts";
import { z } from "zod";
import { type Place, PlaceError } from "./place.ts";

const Variables = PodEnvironment.pick({ TRAININGRUN_RESUME_POLICY: true });

/**
 * How a checkpoint is to be taken up: in a pod as the TrainingRun's `resume` says, at hand as the script does. A pod
 * without the variable was made by an operator that knows none of it, and gets the defaults.
 */
export function readResumePolicy(
  place: Pick<Place, "kind">,
  environment: NodeJS.ProcessEnv,
  local: Partial<ResumePolicy> = {},
): ResumePolicy {
  const parsed =
    place.kind === "local"
      ? ResumePolicy.safeParse(local)
      : Variables.transform((pod) => pod.TRAININGRUN_RESUME_POLICY ?? ResumePolicy.parse({})).safeParse(environment);
  if (parsed.success) return parsed.data;
  const seen = z.prettifyError(parsed.error).replaceAll("\n", " ");
  throw new PlaceError(`Cannot train because the policy for the resume must be one: ${seen}`);
}
