import { expect, test } from "vitest";
import { ApiError, isConflict, isRefusal } from "./api-error.ts";
import { pods } from "./resource.ts";

const answered = (status: number, reason: string, detail: string) =>
  new ApiError({ method: "POST", target: { resource: pods, namespace: "team" } }, { status, reason, detail });

test.each([
  [403, "Forbidden", "exceeded quota: gpus", true],
  [422, "Invalid", 'Pod "mnist-1-0" is invalid: spec.containers: Required value', true],
  [500, "InternalError", 'Internal error occurred: failed calling webhook "mesh.example.com"', true],
  [500, "InternalError", "Internal error occurred: etcdserver: leader changed", false],
  [409, "Conflict", "the object has been modified", false],
  [429, "TooManyRequests", "try again later", false],
  [503, "ServiceUnavailable", "apiserver is shutting down", false],
])("an answer %i %s, %s, is a refusal to be told to the user: %s", (status, reason, detail, refused) => {
  expect(isRefusal(answered(status, reason, detail))).toBe(refused);
});

const patched = (contentType: string) =>
  new ApiError(
    { method: "PATCH", target: { resource: pods, namespace: "team" }, contentType },
    { status: 422, reason: "Invalid", detail: "the server rejected our request due to an error in our request" },
  );

test.each([
  ["application/json-patch+json", "a test that failed: the picture was old", [false, true]],
  ["application/merge-patch+json", "a refusal", [true, false]],
])("a 422 without a field to a patch of %s is %s", (contentType, _, expected) => {
  expect([isRefusal(patched(contentType)), isConflict(patched(contentType))]).toEqual(expected);
});
