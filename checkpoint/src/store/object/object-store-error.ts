import { StorageUnavailableError } from "../store.ts";

/** Why an object store could not be used, as a stable word. */
export type ObjectStoreProblem =
  | "EndpointUnreachable"
  | "CertificateRefused"
  | "BucketMissing"
  | "CredentialsMissing"
  | "CredentialsRefused"
  | "CredentialsExpired"
  | "AccessDenied"
  | "ClockSkewed"
  | "QuotaExceeded"
  | "ConditionsUnsupported"
  | "Throttled"
  | "StoreFailing"
  | "Stopped";

/** The object store could not be read or written. It is not an empty store: nothing may be concluded from it. */
export class ObjectStoreError extends StorageUnavailableError {
  readonly problem: ObjectStoreProblem;

  constructor(problem: ObjectStoreProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.problem = problem;
  }
}

/** What one request came to, as far as it is known: an answer's status and S3 code, or the error of the connection. */
export type RequestFailure = Readonly<{ status: number | null; code: string; message: string; cause: unknown }>;

/** Whether the same request may succeed a moment later. */
export function mayPass({ status, code }: RequestFailure): boolean {
  if (code in lasting) return false;
  if (status === null) return !(code in certificateCodes);
  return status >= 500 || passingStatuses.has(status) || passingCodes.has(code);
}

/** The failure in words that name the store, what was tried, and what to do. */
export function describeFailure(failure: RequestFailure, { what, where }: { what: string; where: string }) {
  const { problem, remedy } = explain(failure);
  const detail =
    failure.message === "" || failure.message === failure.code ? "" : ` (${failure.message.slice(0, 200)})`;
  const word = failure.code || "an error";
  const because =
    failure.status === null ? `the connection failed with ${word}` : `it answered ${failure.status} ${word}`;
  return new ObjectStoreError(problem, `Cannot ${what} in ${where} because ${because}${detail}: ${remedy}`, {
    cause: failure.cause,
  });
}

type Explained = Readonly<{ problem: ObjectStoreProblem; remedy: string }>;

function explain({ status, code }: RequestFailure): Explained {
  const known = lasting[code] ?? certificateCodes[code] ?? passing[code];
  if (known !== undefined) return known;
  if (status === 401 || status === 403) return denied;
  if (status === 429 || status === 503) return throttled;
  if (status === null) return unreachable;
  return { problem: "StoreFailing", remedy: "look at the store's own logs; it is tried again" };
}

const secret = "the Secret that checkpoint.objectStore.credentialsSecretName names";
const refused: Explained = { problem: "CredentialsRefused", remedy: `correct the keys in ${secret}` };
const expired: Explained = { problem: "CredentialsExpired", remedy: `put fresh keys into ${secret}` };
const denied: Explained = {
  problem: "AccessDenied",
  remedy: "let these keys get, put, list and delete objects below the run's prefix",
};
const skewed: Explained = { problem: "ClockSkewed", remedy: "set the clock of this node, or of the store" };
const bucket: Explained = {
  problem: "BucketMissing",
  remedy: "create the bucket, or correct checkpoint.objectStore.bucket",
};
const full: Explained = { problem: "QuotaExceeded", remedy: "raise the bucket's quota, or lower the run's retention" };
const throttled: Explained = { problem: "Throttled", remedy: "it asks for fewer requests; it is tried again" };
const unreachable: Explained = {
  problem: "EndpointUnreachable",
  remedy: "correct checkpoint.objectStore.endpoint, or let pods reach it",
};
const untrusted: Explained = {
  problem: "CertificateRefused",
  remedy: `put the authority that signed the store's certificate as ca.crt into ${secret}`,
};
const elsewhere: Explained = {
  problem: "EndpointUnreachable",
  remedy: "set checkpoint.objectStore.region to the bucket's region, and endpoint to that region's address",
};

const unsupported: Explained = {
  problem: "ConditionsUnsupported",
  remedy: "use a store that honours If-None-Match: without it a late writer cannot be fenced there",
};

/** Answers that stay the same until a person has changed something. */
const lasting: Readonly<Record<string, Explained>> = {
  NoSuchBucket: bucket,
  InvalidBucketName: bucket,
  InvalidAccessKeyId: refused,
  SignatureDoesNotMatch: refused,
  InvalidToken: refused,
  ExpiredToken: expired,
  TokenRefreshRequired: expired,
  AccessDenied: denied,
  AllAccessDisabled: denied,
  RequestTimeTooSkewed: skewed,
  QuotaExceeded: full,
  XMinioAdminBucketQuotaExceeded: full,
  XMinioStorageFull: full,
  PermanentRedirect: elsewhere,
  AuthorizationHeaderMalformed: elsewhere,
  IllegalLocationConstraintException: elsewhere,
  ENOTFOUND: unreachable,
  NotImplemented: unsupported,
};

const certificateCodes: Readonly<Record<string, Explained>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  CERT_HAS_EXPIRED: untrusted,
  ERR_TLS_CERT_ALTNAME_INVALID: untrusted,
};

const passing: Readonly<Record<string, Explained>> = { SlowDown: throttled, TooManyRequests: throttled };

const passingCodes = new Set(["RequestTimeout", "SlowDown", "OperationAborted", "InternalError", "BadDigest"]);
const passingStatuses = new Set([408, 409, 425, 429, 499]);
