import type { Fields } from "./run-builder.ts";

/** One manifest that is refused, and a part of the sentence that says why and what to write instead. */
export type SchemaCase = Readonly<{ title: string; name?: string; spec: Fields; refusal: string | null }>;

/** An edit of a stored run; only the API server, which has both versions, can judge it. */
export type EditCase = Readonly<{ title: string; before: Fields; after: Fields; refusal: string | null }>;

const claim = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
const volume = { claimTemplate: claim };
const trainer = { name: "trainer", image: "example.com/mnist" };
const store = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3" };

const template = (pod: Fields): Fields => ({ template: { spec: { containers: [trainer], ...pod } } });
const checkpoint = (fields: Fields): Fields => ({ checkpoint: { volume, ...fields } });

/** Each case goes through zod and through a real API server. The spec is laid over a small good one. */
export const schemaCases: readonly SchemaCase[] = [
  { title: "a small good run", spec: {}, refusal: null },
  {
    title: "everything the API offers at once",
    spec: {
      workers: 1,
      checkpoint: {
        framework: "lightning",
        volume,
        objectStore: { ...store, prefix: "team-a", region: "us-east-1" },
        interval: { auto: { maxDuration: "30m" } },
        retention: { last: 3, best: { metric: "loss", mode: "Min", count: 1 }, everySteps: 10000 },
        maxBytes: "15Gi",
      },
      resume: { from: { step: 12000 }, partial: ["head.*"], replaySteps: 3, noneVerified: "StartOver" },
      retry: {
        failures: 3,
        backoff: { initialSeconds: 10, maxSeconds: 300 },
        rules: [{ exitCodes: [42], action: "Fail" }],
      },
      stall: { timeoutSeconds: 900 },
      nodeLost: { policy: "Fence", afterSeconds: 300 },
      activeDeadlineSeconds: 86400,
      ttlSecondsAfterFinished: 604800,
      deletionPolicy: "Delete",
      managedBy: "trainingrun.dev/operator",
    },
    refusal: null,
  },
  {
    title: "template fields that only the cluster knows",
    spec: template({ schedulingGates: [{ name: "g" }], tolerations: [] }),
    refusal: null,
  },
  { title: "a name of 45 characters", name: "a".repeat(45), spec: {}, refusal: null },
  {
    title: "a name of 46 characters",
    name: "a".repeat(46),
    spec: {},
    refusal: "metadata.name must have at most 45 characters",
  },
  {
    title: "a name that begins with a digit",
    name: "2fast",
    spec: {},
    refusal: "metadata.name must begin with a letter",
  },
  { title: "a name with a dot", name: "a.b", spec: {}, refusal: "metadata.name must begin with a letter" },
  { title: "the only container, whatever its name", spec: template({ containers: [{ name: "main" }] }), refusal: null },
  {
    title: "several containers, one named trainer",
    spec: template({ containers: [{ name: "log" }, trainer] }),
    refusal: null,
  },
  {
    title: "several containers, none named trainer",
    spec: template({ containers: [{ name: "a" }, { name: "b" }] }),
    refusal: "name the one that trains trainer",
  },
  { title: "restartPolicy Never", spec: template({ restartPolicy: "Never" }), refusal: null },
  {
    title: "restartPolicy Always on the pod",
    spec: template({ restartPolicy: "Always" }),
    refusal: "template.spec.restartPolicy must be Never",
  },
  {
    title: "restartPolicy on the training container",
    spec: template({ containers: [{ ...trainer, restartPolicy: "Always" }] }),
    refusal: "restartPolicy of the training container must be Never",
  },
  { title: "a grace period of 10 s", spec: template({ terminationGracePeriodSeconds: 10 }), refusal: null },
  {
    title: "a grace period of 9 s",
    spec: template({ terminationGracePeriodSeconds: 9 }),
    refusal: "must be at least 10",
  },
  {
    title: "a container named agent",
    spec: template({ initContainers: [{ name: "agent" }] }),
    refusal: "agent and restore belong to the operator",
  },
  {
    title: "a volume named trainingrun",
    spec: template({ volumes: [{ name: "trainingrun" }] }),
    refusal: "belong to the operator",
  },
  {
    title: "a volume named like that of the keys",
    spec: template({ volumes: [{ name: "trainingrun-credentials" }] }),
    refusal: "belong to the operator",
  },
  {
    title: "an object store on a port of its own",
    spec: checkpoint({ objectStore: { ...store, endpoint: "http://10.0.0.1:9000/" } }),
    refusal: null,
  },
  { title: "an object store and no volume", spec: { checkpoint: { objectStore: store } }, refusal: null },
  ...["s3.example.com", "s3://checkpoints", "https://s3.example.com/checkpoints", "https://me@s3.example.com"].map(
    (endpoint) => ({
      title: `the endpoint ${endpoint}`,
      spec: checkpoint({ objectStore: { ...store, endpoint } }),
      refusal: "checkpoint.objectStore.endpoint must be http:// or https:// with a host",
    }),
  ),
  {
    title: "two sources for the volume",
    spec: { checkpoint: { volume: { claimTemplate: claim, claimName: "mine" } } },
    refusal: "checkpoint.volume needs exactly one source",
  },
  {
    title: "no source for the volume",
    spec: { checkpoint: { volume: {} } },
    refusal: "checkpoint.volume needs exactly one source",
  },
  {
    title: "no place to save to",
    spec: { checkpoint: { framework: "sdk" } },
    refusal: "checkpoint needs a place to save to",
  },
  {
    title: "two intervals",
    spec: checkpoint({ interval: { steps: 5, duration: "5m" } }),
    refusal: "exactly one of steps, duration and auto",
  },
  { title: "no interval", spec: checkpoint({ interval: {} }), refusal: "exactly one of steps, duration and auto" },
  {
    title: "an interval of zero",
    spec: checkpoint({ interval: { duration: "0s" } }),
    refusal: "a duration must be longer than zero",
  },
  {
    title: "several workers on a ReadWriteOnce claim",
    spec: { workers: 2 },
    refusal: "workers above 1 need storage that all of them reach",
  },
  {
    title: "several workers on a ReadWriteMany claim",
    spec: { workers: 2, checkpoint: { volume: { claimTemplate: { ...claim, accessModes: ["ReadWriteMany"] } } } },
    refusal: null,
  },
  {
    title: "several workers with an object store",
    spec: { workers: 2, ...checkpoint({ objectStore: store }) },
    refusal: null,
  },
  {
    title: "several workers on the user's own claim",
    spec: { workers: 2, checkpoint: { volume: { claimName: "mine" } } },
    refusal: null,
  },
  {
    title: "a resume point that is two things",
    spec: { resume: { from: { step: 1, uri: "s3://x" } } },
    refusal: "resume.from is either {step}",
  },
  { title: "a resume point of nothing", spec: { resume: { from: {} } }, refusal: "resume.from is either {step}" },
  {
    title: "a first wait longer than the longest",
    spec: { retry: { backoff: { initialSeconds: 60, maxSeconds: 30 } } },
    refusal: "must not exceed maxSeconds",
  },
  {
    title: "Fence without a time",
    spec: { nodeLost: { policy: "Fence" } },
    refusal: "nodeLost.afterSeconds belongs to policy Fence",
  },
  {
    title: "Wait with a time",
    spec: { nodeLost: { policy: "Wait", afterSeconds: 60 } },
    refusal: "nodeLost.afterSeconds belongs to policy Fence",
  },
];

const anyVolume = { checkpoint: { volume } };

export const editCases: readonly EditCase[] = [
  { title: "suspending", before: {}, after: { suspend: true }, refusal: null },
  {
    title: "more workers, on a claim that allows it",
    before: { checkpoint: { volume: { claimName: "a" } } },
    after: { checkpoint: { volume: { claimName: "a" } }, workers: 2 },
    refusal: null,
  },
  {
    title: "another claim",
    before: { checkpoint: { volume: { claimName: "a" } } },
    after: { checkpoint: { volume: { claimName: "b" } } },
    refusal: "checkpoint.volume cannot change",
  },
  {
    title: "a bigger claim template",
    before: anyVolume,
    after: { checkpoint: { volume: { claimTemplate: { ...claim, resources: { requests: { storage: "2Gi" } } } } } },
    refusal: "checkpoint.volume cannot change",
  },
  {
    title: "no volume any more",
    before: checkpoint({ objectStore: store }),
    after: { checkpoint: { objectStore: store } },
    refusal: "checkpoint.volume cannot change",
  },
  {
    title: "an object store that was not there",
    before: anyVolume,
    after: checkpoint({ objectStore: store }),
    refusal: "checkpoint.objectStore.bucket cannot change",
  },
  {
    title: "another bucket",
    before: checkpoint({ objectStore: store }),
    after: checkpoint({ objectStore: { ...store, bucket: "other" } }),
    refusal: "checkpoint.objectStore.bucket cannot change",
  },
  {
    title: "a prefix that was not there",
    before: checkpoint({ objectStore: store }),
    after: checkpoint({ objectStore: { ...store, prefix: "p" } }),
    refusal: "checkpoint.objectStore.prefix cannot change",
  },
  {
    title: "another endpoint and other credentials",
    before: checkpoint({ objectStore: store }),
    after: checkpoint({ objectStore: { ...store, endpoint: "https://b.example.com", credentialsSecretName: "new" } }),
    refusal: null,
  },
  {
    title: "another manager",
    before: { managedBy: "trainingrun.dev/operator" },
    after: { managedBy: "example.com/mine" },
    refusal: "managedBy cannot change",
  },
  {
    title: "a manager that was not named",
    before: {},
    after: { managedBy: "example.com/mine" },
    refusal: "managedBy cannot change",
  },
];
