import { expect, test } from "vitest";
import { ApiError, isBeyondOurRights, isConflict, isRefusal, NoAnswerError } from "./api-error.ts";
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

const roleless =
  'trainingruns is forbidden: User "system:serviceaccount:ops:operator" cannot patch resource "trainingruns/status"';
test.each([
  [
    403,
    "Forbidden",
    `${roleless} in API group "trainingrun.dev" in the namespace "team": RBAC: role "x" not found`,
    true,
  ],
  [403, "Forbidden", "pods is forbidden: exceeded quota: gpus", false],
  [403, "Forbidden", 'admission webhook "policy" denied the request: the status is too long', false],
  [401, "Unauthorized", "Unauthorized", false],
])("an answer %i %s, %s, says that we may not ask at all: %s", (status, reason, detail, expected) => {
  expect(isBeyondOurRights(answered(status, reason, detail))).toBe(expected);
});

test.each([
  ["ECONNREFUSED", "was never sent", [true, false]],
  ["UND_ERR_CLOSED", "was never sent", [true, false]],
  ["UND_ERR_DESTROYED", "may have been done", [false, false]],
  ["ECONNRESET", "may have been done", [false, false]],
  ["UND_ERR_SOCKET", "may have been done", [false, false]],
  ["SELF_SIGNED_CERT_IN_CHAIN", "was never sent, and the credentials may be old", [true, true]],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "was never sent, and the credentials may be old", [true, true]],
  ["CERT_HAS_EXPIRED", "was never sent, and the credentials may be old", [true, true]],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "was never sent, and the credentials may be old", [true, true]],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "may have been done, and the credentials may be old", [false, true]],
])("a request that ended with %s %s", (code, _, expected) => {
  const { attempted } = answered(0, "", "");
  const { neverSent, isUntrusted } = new NoAnswerError(attempted, Object.assign(new Error("broken"), { code }));
  expect([neverSent, isUntrusted]).toEqual(expected);
});

test.each([
  ["EHOSTUNREACH", "connect", true],
  ["ENETUNREACH", "connect", true],
  ["EHOSTUNREACH", "read", false],
  ["ENETUNREACH", "write", false],
])("a request that ended with %s in %s was never sent: %s", (code, syscall, expected) => {
  const { attempted } = answered(0, "", "");
  const failure = Object.assign(new Error("broken"), { code, syscall });
  expect(new NoAnswerError(attempted, failure).neverSent).toBe(expected);
  expect(new NoAnswerError(attempted, new AggregateError([failure])).neverSent).toBe(expected);
});
