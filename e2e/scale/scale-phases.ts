import type { ApiClient } from "@trainingrun/operator/kubernetes/client.ts";
import type { KubeObject } from "@trainingrun/operator/kubernetes/kube-object.ts";
import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { Awaited } from "./awaited.ts";
import type { Contender, ContenderStart, Counted, LeaderEnd } from "./contender.ts";
import { FakeNodes } from "./fake-nodes.ts";
import { ScalePlane } from "./scale-plane.ts";
import { createSharedClaim } from "./shared-claim.ts";
import { type Usage, usageOf } from "./usage.ts";
import type { Writes } from "./write-log.ts";

/** What one phase took: until the last pod ran, of each object, and in writes and processor time until all was quiet. */
export type Phase = Readonly<{
  objects: number;
  seconds: number;
  each: readonly number[];
  writes: Writes;
  cpuSeconds: Readonly<Record<string, number>>;
}>;

/** What one contender came to with so many objects. */
export type Seen = Readonly<{
  contender: string;
  count: number;
  creation: Phase;
  /** A tenth of the pods was preempted. */
  recovery: Phase;
  /** Another tenth was, and the leader ended meanwhile; null where there is one process only. */
  leaderChange: (Phase & Readonly<{ how: LeaderEnd }>) | null;
  /** Of each process up to the end of the play, or to its own. */
  peakRssMiB: Readonly<Record<string, number>>;
  /** Pods beyond one for each object and one for each preemption. */
  extraPods: number;
}>;

type Options = Readonly<{
  count: number;
  /** How the leader ends, where there is one to take its place. */
  leaderEnd: LeaderEnd;
  signal: AbortSignal;
  report: (line: string) => void;
}>;

const createdAtOnce = 64;
const phaseLimitMs = 15 * 60_000;
/** Every tenth object loses its pod. */
const tenth = 10;

/** Plays the phases for one contender, on a control plane of its own. */
export async function playScale({ name, start }: ContenderStart, options: Options): Promise<Seen> {
  const { count, leaderEnd, signal, report } = options;
  await using plane = await ScalePlane.start(signal);
  const awaited = { now: new Awaited() };
  let contender: Contender | undefined;
  const nodes = new FakeNodes({
    client: plane.client("fake-kubelet"),
    namespace: plane.namespace,
    lastWords: (pod, container) => contender?.lastWords(pod, container) ?? "",
    onRunning: (pod) => {
      const object = contender?.objectOf(pod);
      if (object !== undefined) awaited.now.runs(object, pod.metadata.uid);
    },
  });
  const over = new AbortController();
  const playing = nodes.run(AbortSignal.any([signal, over.signal]));
  try {
    await nodes.register(count, signal);
    await createSharedClaim(plane.client("scale"), plane.namespace, signal);
    contender = await start(plane, nodes.pods, signal);
    try {
      const stage = new Stage({ plane, nodes, contender, awaited, signal });
      const seen = await playPhases(stage, {
        count,
        leaderEnd,
        contender,
        report: (line) => report(`${name}, ${count}: ${line}`),
      });
      return { contender: name, count, ...seen };
    } finally {
      await contender[Symbol.asyncDispose]();
    }
  } finally {
    over.abort(new Error("the measurement is over"));
    await playing;
  }
}

type Play = Pick<Options, "count" | "leaderEnd" | "report"> & Readonly<{ contender: Contender }>;

async function playPhases(
  stage: Stage,
  { count, leaderEnd, contender, report }: Play,
): Promise<Omit<Seen, "contender" | "count">> {
  const names = Array.from({ length: count }, (_, index) => `one-${String(index).padStart(5, "0")}`);
  const taken = (rest: number) => names.filter((_, index) => index % tenth === rest);
  const creation = await stage.phase(names.length, (into) => stage.create(names, into));
  report(`all run after ${creation.seconds.toFixed(2)} s`);
  const recovery = await stage.phase(taken(0).length, (into) => stage.preempt(taken(0), into));
  report(`a tenth preempted, all run again after ${recovery.seconds.toFixed(2)} s`);
  let leaderChange: Seen["leaderChange"] = null;
  if (contender.changeLeader !== undefined) {
    const phase = await stage.phase(taken(1).length, async (into) => {
      await stage.preempt(taken(1), into);
      // The last that is known of the process that ends.
      await stage.usage();
      await contender.changeLeader?.(leaderEnd);
    });
    leaderChange = { ...phase, how: leaderEnd };
    const ended = leaderEnd === "Killed" ? "killed" : "asked to end";
    report(`a tenth preempted and the leader ${ended}, all run again after ${phase.seconds.toFixed(2)} s`);
  }
  const preempted = recovery.objects + (leaderChange?.objects ?? 0);
  const extraPods = stage.podsMade - count - preempted;
  return { creation, recovery, leaderChange, peakRssMiB: stage.peakRssMiB, extraPods };
}

type StageParts = Readonly<{
  plane: ScalePlane;
  nodes: FakeNodes;
  contender: Contender;
  awaited: { now: Awaited };
  signal: AbortSignal;
}>;

/** One contender on its control plane, and what is done to its objects. */
class Stage {
  readonly #parts: StageParts;
  readonly #client: ApiClient;
  /** By process: the kernel keeps the highest, until the process ends. */
  readonly #peakRssMiB = new Map<string, number>();

  constructor(parts: StageParts) {
    this.#parts = parts;
    this.#client = parts.plane.client("scale");
  }

  get podsMade(): number {
    return this.#parts.nodes.podsMade;
  }

  /** What each process has held at most, as of when its use was last read. */
  get peakRssMiB(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#peakRssMiB);
  }

  /** Does something, and counts what it takes until all pods run and nobody writes any more. */
  async phase(objects: number, act: (into: Awaited) => Promise<void>): Promise<Phase> {
    const { plane, nodes, awaited, signal } = this.#parts;
    await plane.writes.settled(signal);
    await plane.writes.take();
    const before = await this.usage();
    const into = new Awaited();
    awaited.now = into;
    await act(into);
    await into.ended(phaseLimitMs, signal);
    await plane.writes.settled(signal);
    nodes.assertWorks();
    const after = await this.usage();
    const cpuSeconds = Object.fromEntries(
      Object.entries(after).map(([name, use]) => [name, use.cpuSeconds - (before[name]?.cpuSeconds ?? 0)]),
    );
    return { objects, seconds: into.all, each: into.each, writes: await plane.writes.take(), cpuSeconds };
  }

  async create(names: readonly string[], into: Awaited): Promise<void> {
    const { contender, signal } = this.#parts;
    await inLanes(names, createdAtOnce, async (name) => {
      into.expect(name);
      await contender.create(name, signal);
    });
  }

  /** Does to the pod of each what the scheduler does to its victims: a condition that says why, then the deletion. */
  async preempt(names: readonly string[], into: Awaited): Promise<void> {
    const { contender, nodes } = this.#parts;
    const alive = nodes.pods.all().filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const podOf = new Map(alive.map((pod) => [contender.objectOf(pod), pod]));
    await inLanes(names, names.length, async (name) => {
      const pod = podOf.get(name);
      if (pod === undefined) throw new Error(`Cannot preempt the pod of ${name}: it has none`);
      into.expect(name, pod.metadata.uid);
      await this.#preempt(pod);
    });
  }

  /** What every process has taken so far; one that has ended is left out. */
  async usage(): Promise<Readonly<Record<string, Usage>>> {
    const { plane, contender } = this.#parts;
    const control = plane.server.processes().map(({ name, identity }) => ({ name, pid: identity.pid }));
    const each = (await Promise.all([...control, ...contender.processes].map(use))).flat();
    for (const [name, { peakRssMiB }] of each) this.#peakRssMiB.set(name, peakRssMiB);
    return Object.fromEntries(each);
  }

  async #preempt(pod: KubeObject): Promise<void> {
    const { signal } = this.#parts;
    const { name, namespace, uid } = pod.metadata;
    const target = { resource: pods, namespace, name };
    const conditions = [
      ...((pod.status as { conditions?: readonly unknown[] } | undefined)?.conditions ?? []),
      { type: "DisruptionTarget", status: "True", reason: "PreemptionByScheduler", message: "preempted" },
    ];
    const patch = { metadata: { uid }, status: { conditions } };
    await this.#client.mergePatch({ ...target, subresource: "status" }, patch, { signal });
    await this.#client.remove(target, { preconditions: { uid } }, { signal });
  }
}

async function use({ name, pid }: Counted): Promise<readonly (readonly [string, Usage])[]> {
  const usage = await usageOf(pid).catch(() => undefined);
  return usage === undefined ? [] : [[name, usage]];
}

async function inLanes<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const item of left) await work(item);
    }),
  );
}
