import { z } from "zod";

const Text = z.string();
const Texts = z.array(Text).default([]);
const TextMap = z.record(Text, Text).default({});
const KeyReference = z.object({ name: Text.default(""), key: Text, optional: z.boolean().default(false) });
const FieldReference = z.object({ fieldPath: Text });
const ResourceReference = z.object({ resource: Text, containerName: Text.optional(), divisor: Text.optional() });

const EnvironmentVariable = z.object({
  name: Text,
  value: Text.default(""),
  valueFrom: z
    .object({
      fieldRef: FieldReference.optional(),
      resourceFieldRef: ResourceReference.optional(),
      configMapKeyRef: KeyReference.optional(),
      secretKeyRef: KeyReference.optional(),
    })
    .optional(),
});
/** One entry of a container's `env`. */
export type EnvironmentVariable = z.infer<typeof EnvironmentVariable>;

const ObjectReference = z.object({ name: Text.default(""), optional: z.boolean().default(false) });
const Port = z.union([z.int(), Text]);

const Handler = z.object({
  exec: z.object({ command: Texts }).optional(),
  httpGet: z
    .object({
      path: Text.default("/"),
      port: Port,
      host: Text.optional(),
      scheme: Text.default("HTTP"),
      httpHeaders: z.array(z.object({ name: Text, value: Text })).default([]),
    })
    .optional(),
  tcpSocket: z.object({ port: Port, host: Text.optional() }).optional(),
  sleep: z.object({ seconds: z.int() }).optional(),
});
/** Something that a kubelet does to a container to ask or to tell it something. */
export type Handler = z.infer<typeof Handler>;

const Probe = Handler.extend({
  initialDelaySeconds: z.int().default(0),
  periodSeconds: z.int().default(10),
  timeoutSeconds: z.int().default(1),
  successThreshold: z.int().default(1),
  failureThreshold: z.int().default(3),
});
/** A question asked again and again, and how many answers decide. */
export type Probe = z.infer<typeof Probe>;

const Container = z.object({
  name: Text,
  image: Text.default(""),
  command: Texts,
  args: Texts,
  workingDir: Text.optional(),
  env: z.array(EnvironmentVariable).default([]),
  envFrom: z
    .array(
      z.object({
        prefix: Text.default(""),
        configMapRef: ObjectReference.optional(),
        secretRef: ObjectReference.optional(),
      }),
    )
    .default([]),
  ports: z.array(z.object({ name: Text.optional(), containerPort: z.int() })).default([]),
  resources: z.object({ limits: TextMap, requests: TextMap }).partial().default({}),
  restartPolicy: Text.optional(),
  volumeMounts: z
    .array(
      z.object({
        name: Text,
        mountPath: Text,
        subPath: Text.default(""),
        subPathExpr: Text.default(""),
      }),
    )
    .default([]),
  terminationMessagePath: Text.default("/dev/termination-log"),
  terminationMessagePolicy: Text.default("File"),
  lifecycle: z.object({ preStop: Handler.optional(), postStart: Handler.optional() }).default({}),
  startupProbe: Probe.optional(),
  readinessProbe: Probe.optional(),
  livenessProbe: Probe.optional(),
});
/** A container of a pod's spec, init or not. */
export type Container = z.infer<typeof Container>;

const KeyPaths = z.array(z.object({ key: Text, path: Text })).optional();
const DownwardItems = z
  .array(z.object({ path: Text, fieldRef: FieldReference.optional(), resourceFieldRef: ResourceReference.optional() }))
  .default([]);

const Projection = z.object({
  configMap: ObjectReference.extend({ items: KeyPaths }).optional(),
  secret: ObjectReference.extend({ items: KeyPaths }).optional(),
  downwardAPI: z.object({ items: DownwardItems }).optional(),
  serviceAccountToken: z
    .object({ path: Text, audience: Text.optional(), expirationSeconds: z.int().default(3600) })
    .optional(),
});
/** One source of the files in a projected volume. */
export type Projection = z.infer<typeof Projection>;

const Volume = z.object({
  name: Text,
  emptyDir: z.object({}).optional(),
  hostPath: z.object({ path: Text }).optional(),
  persistentVolumeClaim: z.object({ claimName: Text }).optional(),
  configMap: ObjectReference.extend({ items: KeyPaths }).optional(),
  secret: z.object({ secretName: Text.default(""), items: KeyPaths, optional: z.boolean().default(false) }).optional(),
  downwardAPI: z.object({ items: DownwardItems }).optional(),
  projected: z.object({ sources: z.array(Projection).default([]) }).optional(),
});
/** A volume of a pod's spec; of a kind that a process node does not know, all but the name is undefined. */
export type Volume = z.infer<typeof Volume>;

const Metadata = z.object({
  name: Text,
  namespace: Text.default("default"),
  uid: Text,
  resourceVersion: Text.default(""),
  generation: z.int().optional(),
  labels: TextMap,
  annotations: TextMap,
  deletionTimestamp: Text.optional(),
  deletionGracePeriodSeconds: z.int().optional(),
});

/** What a process node reads of a pod; everything else in the object is not its business. */
export const Pod = z.object({
  metadata: Metadata,
  spec: z.object({
    nodeName: Text.default(""),
    hostname: Text.optional(),
    restartPolicy: z.enum(["Always", "OnFailure", "Never"]).default("Always"),
    serviceAccountName: Text.default("default"),
    terminationGracePeriodSeconds: z.int().default(30),
    activeDeadlineSeconds: z.int().optional(),
    nodeSelector: TextMap,
    initContainers: z.array(Container).default([]),
    containers: z.array(Container),
    volumes: z.array(Volume).default([]),
  }),
  status: z
    .object({
      phase: Text.default("Pending"),
      startTime: Text.optional(),
      containerStatuses: z.array(z.object({ containerID: Text.optional() })).default([]),
      initContainerStatuses: z.array(z.object({ containerID: Text.optional() })).default([]),
    })
    .prefault({}),
});
export type Pod = z.infer<typeof Pod>;

/** How a message names a pod. */
export function podName(pod: Pod): string {
  return `${pod.metadata.namespace}/${pod.metadata.name}`;
}

/** Whether this init container is a native sidecar: it goes on running beside the main containers. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === "Always";
}
