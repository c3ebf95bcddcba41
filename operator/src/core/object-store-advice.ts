import type { TrainingRun } from "../api/training-run.ts";

type Place = Readonly<{ endpoint: string; bucket: string; secret: string; namespace: string }>;

/** What a pod was told at its creation it goes by until its end. */
const nextAttempt = "An edit holds from the next attempt on: where one runs, suspend and resume the run.";

/** What a person does about each problem of an object store that an agent names, with the names of this run. */
const advice: Readonly<Record<string, (place: Place) => string>> = {
  EndpointUnreachable: ({ endpoint }) =>
    `Correct spec.checkpoint.objectStore.endpoint (${endpoint}), or let the run's pods reach it: a network policy or a proxy may stop them. ${nextAttempt}`,
  CertificateRefused: ({ endpoint, secret }) =>
    `Put the authority that signed the certificate of ${endpoint} as ca.crt into the Secret ${secret}.`,
  BucketMissing: ({ bucket, endpoint }) =>
    `Create the bucket ${bucket} at ${endpoint}, or create a new run with the right one.`,
  CredentialsMissing: ({ secret, namespace }) =>
    `Put accessKeyId and secretAccessKey into the Secret ${secret} in the namespace ${namespace}.`,
  CredentialsRefused: ({ secret, bucket }) => `Put keys that the store of ${bucket} knows into the Secret ${secret}.`,
  CredentialsExpired: ({ secret }) =>
    `Put fresh keys, with their sessionToken where they have one, into the Secret ${secret}.`,
  AccessDenied: ({ bucket, secret }) =>
    `Let the keys in the Secret ${secret} get, put, list and delete objects below the run's prefix in the bucket ${bucket}, and list and abort uploads there (s3:ListBucketMultipartUploads, s3:AbortMultipartUpload).`,
  ClockSkewed: () => "Set the clock of the pod's node, or of the store: signatures hold for minutes only.",
  QuotaExceeded: ({ bucket }) =>
    `Raise the quota of the bucket ${bucket}, or keep less by spec.checkpoint.retention. ${nextAttempt}`,
  ConditionsUnsupported: ({ endpoint }) =>
    `Upgrade the store at ${endpoint} to one that honours If-None-Match: copies are made without it, but a late writer cannot be fenced there.`,
  Throttled: ({ bucket }) =>
    `The store asks for fewer requests and is tried again; raise the limit of ${bucket} if this stays.`,
  StoreFailing: ({ endpoint }) => `Look at the logs of the store at ${endpoint}; it is tried again.`,
  MirrorLogLost: ({ bucket }) =>
    `Look for a lifecycle rule of the bucket ${bucket}, or a person, that removes objects below the run's prefix; suspend and resume the run, so that its next attempt opens the log there anew.`,
  Stopped: () => "The agent was stopped before it was done; the next one goes on.",
};

/** The problems that there is advice about. */
export const knownProblems: readonly string[] = Object.keys(advice);

/** What to do about a problem of the run's object store, as a sentence; empty where the word is not one of these. */
export function adviceOn(problem: string, { spec, metadata }: TrainingRun): string {
  const { objectStore } = spec.checkpoint;
  if (objectStore === undefined || !Object.hasOwn(advice, problem)) return "";
  const { endpoint, bucket, credentialsSecretName: secret } = objectStore;
  return advice[problem]?.({ endpoint, bucket, secret, namespace: metadata.namespace }) ?? "";
}
