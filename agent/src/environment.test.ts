import { expect, test } from "vitest";
import { podVariables } from "../test/sample.ts";
import { EnvironmentError, readEnvironment } from "./environment.ts";

const variables = podVariables("/trainingrun");

function complaint(changed: Record<string, string | undefined>): string {
  try {
    readEnvironment({ ...variables, ...changed });
  } catch (error) {
    if (error instanceof EnvironmentError) return error.message;
    throw error;
  }
  return "none";
}

test("numbers and JSON are parsed", () => {
  const environment = readEnvironment({ ...variables, HOME: "/", TRAININGRUN_ATTEMPT: "7" });
  expect(environment.TRAININGRUN_ATTEMPT).toBe(7);
  expect(environment.TRAININGRUN_RETENTION.last).toBe(2);
});

test.each([
  ["absent", { TRAININGRUN_UID: undefined }, "TRAININGRUN_UID is not set"],
  ["empty, so that no number becomes 0", { TRAININGRUN_WORKER: "" }, "TRAININGRUN_WORKER is not set"],
  ["not a number", { TRAININGRUN_ATTEMPT: "two" }, "TRAININGRUN_ATTEMPT Invalid input"],
  ["not JSON", { TRAININGRUN_RETENTION: "{" }, "TRAININGRUN_RETENTION must be JSON: {"],
  ["JSON of another shape", { TRAININGRUN_RETENTION: '{"last":1}' }, "TRAININGRUN_RETENTION .last Too small"],
  ["not an absolute path", { TRAININGRUN_RESUME: "resume" }, "TRAININGRUN_RESUME must be an absolute path: resume"],
  ["of no framework", { TRAININGRUN_FRAMEWORK: "caffe" }, "TRAININGRUN_FRAMEWORK Invalid option"],
])("a variable that is %s is named", (_what, changed, words) => {
  expect(complaint(changed)).toContain(words);
});

test("everything wrong is said at once", () => {
  const message = complaint({
    TRAININGRUN_UID: undefined,
    TRAININGRUN_NODE: undefined,
    TRAININGRUN_CONTROL: "control",
  });
  expect(message).toBe(
    "Cannot start because the pod's variables must be those the operator sets, and 3 are not: " +
      "TRAININGRUN_UID is not set; TRAININGRUN_NODE is not set; TRAININGRUN_CONTROL must be an absolute path: control",
  );
});
