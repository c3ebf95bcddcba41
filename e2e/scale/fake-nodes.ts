import { isConflict, isNotFound } from "@trainingrun/operator/kubernetes/api-error.ts";
import { ObjectCache } from "@trainingrun/operator/kubernetes/cache.ts";
import type { ApiClient } from "@trainingrun/operator/kubernetes/client.ts";
import type { KubeObject } from "@trainingrun/operator/kubernetes/kube-object.ts";
import { Reflector } from "@trainingrun/operator/kubernetes/reflector.ts";
import { nodes, pods } from "@trainingrun/operator/kubernetes/resource.ts";

/** What is said of a pod's containers, and who hears of it. */
export type FakeNodesOptions = Readonly<{
  client: ApiClient;
  namespace: string;
  /** What a container of the pod leaves in its termination message. */
  lastWords: (pod: KubeObject, container: string) => string;
  /** Told once the API server has taken that the pod runs. */
  onRunning: (pod: KubeObject) => void;
}>;

const podsPerNode = 110;
/** Asked to end by SIGTERM, and not caught: what a plain program leaves. */
const endedBySignal = 143;

/**
 * Nodes without machines, and the kubelet of all of them: a pod that is bound runs at once, and one that is deleted
 * ends at once. Three writes of a kubelet's are made for each pod, as few as it can be: it runs, it has ended, its
 * object may go. Containers, volumes and probes are of no account here.
 */
export class FakeNodes {
  readonly pods = new ObjectCache<KubeObject>({ uid: ({ metadata }) => [metadata.uid] });
  readonly #options: FakeNodesOptions;
  readonly #turns = new Map<string, Readonly<{ isEnding: boolean; over: Promise<void> }>>();
  #addresses = 0;
  #failed: unknown;
  #made = 0;

  constructor(options: FakeNodesOptions) {
    this.#options = options;
    this.pods.listen(({ kind, object }) => {
      if (kind === "Added") this.#made += 1;
      if (kind === "Deleted") this.#turns.delete(object.metadata.uid);
      else this.#tend(object);
    });
  }

  /** How many pods have ever been seen. */
  get podsMade(): number {
    return this.#made;
  }

  /** Creates nodes that are ready and have room for so many pods, with a tenth to spare. */
  async register(room: number, signal: AbortSignal): Promise<void> {
    const count = Math.ceil((room * 1.1) / podsPerNode);
    await Promise.all(Array.from({ length: count }, (_, index) => this.#register(`fake-${index}`, signal)));
  }

  /** Plays until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, namespace } = this.#options;
    const reflector = new Reflector<KubeObject>({
      client,
      cache: this.pods,
      resource: pods,
      namespace,
      trim: ({ metadata: { managedFields: _, ...metadata }, ...object }) => ({ ...object, metadata }),
      onError: () => undefined,
    });
    await reflector.run(signal);
    await Promise.all([...this.#turns.values()].map(({ over }) => over));
  }

  /** @throws what a write failed with: the figures would not be of what was meant. */
  assertWorks(): void {
    if (this.#failed !== undefined) throw new Error("Cannot go on: the fake nodes failed", { cause: this.#failed });
  }

  async #register(name: string, signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    const room = { cpu: "1k", memory: "1Ti", pods: String(podsPerNode) };
    const lastTransitionTime = time();
    const conditions = [{ type: "Ready", status: "True", reason: "KubeletReady", lastTransitionTime }];
    await client.create({ resource: nodes }, { metadata: { name } }, { signal });
    const status = { conditions, capacity: room, allocatable: room };
    await client.mergePatch({ resource: nodes, name, subresource: "status" }, { status }, { signal });
  }

  /** Of one pod one thing after the other: it must not run after it has ended. */
  #tend(pod: KubeObject): void {
    const { uid, deletionTimestamp } = pod.metadata;
    if ((pod.spec as PodSpec).nodeName === undefined) return;
    const before = this.#turns.get(uid);
    const isEnding = deletionTimestamp !== undefined;
    if (before !== undefined && (before.isEnding || !isEnding)) return;
    const act = isEnding ? () => this.#end(pod) : () => this.#start(pod);
    const over = (before?.over ?? Promise.resolve()).then(act).catch((error: unknown) => {
      // Whoever deleted it was faster.
      if (!isNotFound(error) && !isConflict(error)) this.#failed ??= error;
    });
    this.#turns.set(uid, { isEnding, over });
  }

  async #start(pod: KubeObject): Promise<void> {
    const { initContainers = [], containers } = pod.spec as PodSpec;
    const running = ({ name }: Container) => ({
      ...said(name),
      ready: true,
      state: { running: { startedAt: time() } },
    });
    const before = (pod.status as PodStatus).conditions ?? [];
    const ready = ["Initialized", "ContainersReady", "Ready"].map((type) => ({
      type,
      status: "True",
      lastTransitionTime: time(),
    }));
    const ip = this.#nextAddress();
    const answer = await this.#report(pod, {
      phase: "Running",
      startTime: time(),
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [...before, ...ready],
      initContainerStatuses: initContainers.map(running),
      containerStatuses: containers.map(running),
    });
    this.#options.onRunning(answer);
  }

  async #end(pod: KubeObject): Promise<void> {
    const { initContainers = [], containers } = pod.spec as PodSpec;
    const { startTime = time() } = pod.status as PodStatus;
    const ended =
      (exitCode: number) =>
      ({ name }: Container) => ({
        ...said(name),
        ready: false,
        state: {
          terminated: {
            exitCode,
            reason: exitCode === 0 ? "Completed" : "Error",
            message: this.#options.lastWords(pod, name),
            startedAt: startTime,
            finishedAt: time(),
          },
        },
      });
    await this.#report(pod, {
      phase: "Failed",
      initContainerStatuses: initContainers.map(ended(0)),
      containerStatuses: containers.map(ended(endedBySignal)),
    });
    const { name, namespace, uid } = pod.metadata;
    const options = { preconditions: { uid }, gracePeriodSeconds: 0 };
    await this.#options.client.remove({ resource: pods, namespace, name }, options, forever);
  }

  #report(pod: KubeObject, status: Readonly<Record<string, unknown>>): Promise<KubeObject> {
    const { name, namespace, uid } = pod.metadata;
    const target = { resource: pods, namespace, name, subresource: "status" };
    return this.#options.client.mergePatch(target, { metadata: { uid }, status }, forever);
  }

  /** All of 127/8 leads to this machine, so that each agent is reached under an address of its own. */
  #nextAddress(): string {
    this.#addresses += 1;
    const low = this.#addresses;
    return `127.${16 + (low >> 16)}.${(low >> 8) & 255}.${low & 255}`;
  }
}

type Container = Readonly<{ name: string }>;
type PodSpec = Readonly<{
  nodeName?: string;
  initContainers?: readonly Container[];
  containers: readonly Container[];
}>;
type PodStatus = Readonly<{ startTime?: string; conditions?: readonly unknown[] }>;

const forever = { signal: new AbortController().signal };

function said(name: string): Readonly<Record<string, unknown>> {
  return { name, restartCount: 0, image: "image", imageID: "" };
}

function time(): string {
  return new Date().toISOString().replace(/\.\d+/, "");
}
