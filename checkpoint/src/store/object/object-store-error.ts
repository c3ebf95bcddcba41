import { StorageUnavailableError } from "../store.ts";
import { incomplete } from "./answers.ts";

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
  override readonly problem: ObjectStoreProblem;
  /** Whether the store has answered at all, with a refusal. */
  readonly hasAnswered: boolean;

  constructor(
    problem: ObjectStoreProblem,
    message: string,
    { hasAnswered, ...options }: ErrorOptions & { hasAnswered?: boolean } = {},
  ) {
    super(message, options);
    this.problem = problem;
    this.hasAnswered = hasAnswered ?? false;
  }
}

/** What one request came to, as far as it is known: an answer's status and S3 code, or the error of the connection. */
export type RequestFailure = Readonly<{
  status: number | null;
  code: string;
  message: string;
  cause: unknown;
  /** Whether the connection broke in the midst of the answer. */
  isCut: boolean;
}>;

/**
 * Whether the same request may succeed a moment later. An answer that broke off is none, whatever its status: its words
 * may have been that the bucket is gone and not the object, or that the store is only busy. A conditional create that is
 * sent again after half a 412 is told once more that the key is taken, by whom its caller reads; where it was removed
 * meanwhile it creates it, and its caller looks whether it was pruned.
 */
export function mayPass({ status, code, isCut }: RequestFailure): boolean {
  if (code in lasting) return false;
  if (status === null) return !(code in certificateCodes);
  if (isCut) return true;
  return status >= 500 || passingStatuses.has(status) || passingCodes.has(code);
}

/** The failure in words that name the store, what was tried, and what to do. `bytes` is how much it was to transfer. */
export function describeFailure(
  failure: RequestFailure,
  { what, where, bytes = 0 }: { what: string; where: string; bytes?: number },
): ObjectStoreError {
  const { status, code, message, cause, isCut } = failure;
  const { problem, remedy } = explain(failure, bytes);
  const detail = message === "" || message === code ? "" : ` (${message.slice(0, 200)})`;
  const because =
    status === null
      ? `the connection failed with ${code || "an error"}`
      : `it answered ${status} ${isCut ? `and broke off with ${code}` : code || "and no error that S3 knows"}`;
  return new ObjectStoreError(problem, `Cannot ${what} in ${where} because ${because}${detail}: ${remedy}`, {
    cause,
    hasAnswered: status !== null,
  });
}

type Explained = Readonly<{ problem: ObjectStoreProblem; remedy: string }>;

function explain({ status, code, isCut }: RequestFailure, bytes: number): Explained {
  const known = lasting[code] ?? certificateCodes[code] ?? passing[code];
  if (known !== undefined) return known;
  if (status === 401 || status === 403) return denied;
  if (status === 429 || status === 503) return throttled;
  if (status === null || isCut) return bytes >= largeBytes && hungUpCodes.has(code) ? hungUp : unreachable;
  if (code === "" && status < 500) return notS3;
  return { problem: "StoreFailing", remedy: "look at the store's own logs; it is tried again" };
}

/** More than connections usually buffer: of such a request a store that refuses it may not read the end. */
const largeBytes = 256 * 1024;
const hungUpCodes = new Set(["ECONNRESET", "EPIPE"]);

const secret = "the Secret that checkpoint.objectStore.credentialsSecretName names";
const refused: Explained = { problem: "CredentialsRefused", remedy: `correct the keys in ${secret}` };
const expired: Explained = { problem: "CredentialsExpired", remedy: `put fresh keys into ${secret}` };
const denied: Explained = {
  problem: "AccessDenied",
  remedy:
    "let these keys get, put, list and delete objects below the run's prefix, and list and abort uploads (s3:ListBucketMultipartUploads, s3:AbortMultipartUpload)",
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
const hungUp: Explained = {
  problem: "EndpointUnreachable",
  remedy:
    "let pods reach checkpoint.objectStore.endpoint, and see that these keys may put objects: some stores hang up on an upload that they refuse",
};
const notS3: Explained = {
  problem: "EndpointUnreachable",
  remedy: "what answers there does not speak S3: correct checkpoint.objectStore.endpoint",
};
const noTls: Explained = {
  problem: "EndpointUnreachable",
  remedy:
    "what answers there does not speak TLS: correct checkpoint.objectStore.endpoint, which may have to begin with http://",
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
  // A key that cannot stand in a header, such as one with letters outside ASCII.
  ERR_INVALID_CHAR: refused,
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
  CERT_SIGNATURE_FAILURE: untrusted,
  ERR_OSSL_PEM_NO_START_LINE: untrusted,
  CERT_NOT_YET_VALID: skewed,
  ERR_TLS_CERT_ALTNAME_INVALID: untrusted,
};

const passing: Readonly<Record<string, Explained>> = {
  SlowDown: throttled,
  TooManyRequests: throttled,
  EPROTO: noTls,
  ERR_SSL_WRONG_VERSION_NUMBER: noTls,
};

const passingCodes = new Set([
  "RequestTimeout",
  "SlowDown",
  "OperationAborted",
  "ConditionalRequestConflict",
  "InternalError",
  "BadDigest",
  // MinIO's word for another CRC-32 than was named.
  "XAmzContentChecksumMismatch",
  "IncompleteBody",
  incomplete,
]);
const passingStatuses = new Set([408, 409, 425, 429, 499]);
