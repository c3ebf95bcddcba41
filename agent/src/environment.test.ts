import { AgentEnvironment, DeleteEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { expect, test } from "vitest";
import { podVariables } from "../test/sample.ts";
import { EnvironmentError, readEnvironment } from "./environment.ts";

const variables = podVariables("/trainingrun");

function complaint(changed: Record<string, string | undefined>): string {
  try {
    readEnvironment(AgentEnvironment, { ...variables, ...changed });
  } catch (error) {
    if (error instanceof EnvironmentError) return error.message;
    throw error;
  }
  return "none";
}

test("numbers and JSON are parsed", () => {
  const environment = readEnvironment(AgentEnvironment, { ...variables, HOME: "/", TRAININGRUN_ATTEMPT: "7" });
  expect(environment.TRAININGRUN_ATTEMPT).toBe(7);
  expect(environment.TRAININGRUN_RETENTION.last).toBe(2);
});

test("the object store is optional, and so are most things about it", () => {
  expect(readEnvironment(AgentEnvironment, variables)).toMatchObject({
    TRAININGRUN_VOLUME: "Durable",
    TRAININGRUN_CREDENTIALS: "/trainingrun/credentials",
  });
  const settings = JSON.stringify({ endpoint: "https://s3.example", bucket: "runs" });
  const { TRAININGRUN_OBJECT_STORE: objectStore } = readEnvironment(AgentEnvironment, {
    ...variables,
    TRAININGRUN_OBJECT_STORE: settings,
  });
  expect(objectStore).toEqual({ endpoint: "https://s3.example", bucket: "runs", prefix: "", region: null });
});

test("the removal of objects needs to know of them, and of no training", () => {
  const { TRAININGRUN_NAME, TRAININGRUN_NAMESPACE, TRAININGRUN_UID, TRAININGRUN_TERMINATION_LOG } = variables;
  const few = { TRAININGRUN_NAME, TRAININGRUN_NAMESPACE, TRAININGRUN_UID, TRAININGRUN_TERMINATION_LOG };
  expect(() => readEnvironment(DeleteEnvironment, few)).toThrow(/and 1 are not: TRAININGRUN_OBJECT_STORE is not set$/);
  const settings = JSON.stringify({ endpoint: "https://s3.example", bucket: "runs" });
  expect(readEnvironment(DeleteEnvironment, { ...few, TRAININGRUN_OBJECT_STORE: settings })).toMatchObject(few);
});

test.each([
  ["absent", { TRAININGRUN_UID: undefined }, "TRAININGRUN_UID is not set"],
  ["empty, so that no number becomes 0", { TRAININGRUN_WORKER: "" }, "TRAININGRUN_WORKER is not set"],
  ["not a number", { TRAININGRUN_ATTEMPT: "two" }, "TRAININGRUN_ATTEMPT Invalid input"],
  ["not JSON", { TRAININGRUN_RETENTION: "{" }, "TRAININGRUN_RETENTION must be JSON: {"],
  ["JSON of another shape", { TRAININGRUN_RETENTION: '{"last":1}' }, "TRAININGRUN_RETENTION .last Too small"],
  ["not an absolute path", { TRAININGRUN_RESUME: "resume" }, "TRAININGRUN_RESUME must be an absolute path: resume"],
  ["no store's address", { TRAININGRUN_OBJECT_STORE: "{}" }, "TRAININGRUN_OBJECT_STORE .endpoint Invalid input"],
  ["no kind of volume", { TRAININGRUN_VOLUME: "Lasting" }, "TRAININGRUN_VOLUME Invalid option"],
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
