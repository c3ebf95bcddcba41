import { claims, pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { isInitialized } from "../../../cluster/process-node/container/container-snapshot.ts";
import { Pod } from "../../../cluster/process-node/pod/pod.ts";
import type { PodSnapshot, Verdict } from "../../../cluster/process-node/pod/pod-status.ts";
import { Refusal } from "../api/answers.ts";
import { type StoredObject, timestamp } from "../api/object.ts";
import type { Disk } from "../disk/disk.ts";
import type { PodVolumes } from "./container-files.ts";
import type { ContainerLife } from "./container-life.ts";
import type { KubeletHome } from "./kubelet-home.ts";
import { containersOf } from "./pod-containers.ts";
import { StatusReport } from "./status-report.ts";

//     mount ─► init containers and sidecars, in order ─► main containers ─► sidecars end, last first ─► last report
//       └───────────────────┴──── terminate: SIGTERM to those that run ──┘                                  └─► object goes

/** The kubelet gives a sidecar at least so long, even where the others have used up the grace period. */
const sidecarGraceMs = 2_000;
const retryMs = 1_000;

/** One pod on its node, from its binding to its end. */
export class PodLife {
  readonly pod: Pod;
  readonly containers: readonly ContainerLife[];
  readonly #home: KubeletHome;
  readonly #report: StatusReport;
  readonly #address: string;
  readonly #startTime: string;
  readonly #begun = new Set<ContainerLife>();
  #volumes: PodVolumes | null = null;
  #wasInitialized = false;
  #hasEnded = false;
  #isUnwanted = false;
  #isGone = false;
  #isEnding = false;
  #isLeaving = false;
  #endsAtMs = Number.POSITIVE_INFINITY;
  #verdict: Verdict | undefined;
  #disruption: Verdict | undefined;

  constructor(object: StoredObject, home: KubeletHome) {
    this.pod = Pod.parse(object);
    this.#home = home;
    this.#address = home.machine.takeAddress();
    this.#startTime = timestamp(home.machine.clockMs);
    this.#report = new StatusReport(this.pod, { home, read: () => this.#snapshot() });
    this.containers = containersOf(object, {
      ...{ pod: this.pod, home, address: this.#address },
      volumes: () => this.#volumes ?? new Map(),
      onChange: () => {
        this.#report.ask();
        this.#advance();
      },
    });
  }

  /** Whether nothing of it runs any more. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Begins the pod's life on its node. */
  start(): void {
    const { delays, machine } = this.#home;
    this.#report.ask();
    machine.later(delays.ms("mount", this.#key), () => this.#mount());
  }

  /** An earlier life of the node ran it, and its containers ended with that. */
  lose(): void {
    this.#wasInitialized = true;
    this.#isEnding = true;
    this.#end();
  }

  /** Takes note of what the API server says of the object: of a deletion, above all. */
  update({ metadata }: StoredObject): void {
    if (metadata.deletionTimestamp === undefined) return;
    this.#isUnwanted = true;
    const { terminationGracePeriodSeconds } = this.pod.spec;
    this.terminate((metadata.deletionGracePeriodSeconds ?? terminationGracePeriodSeconds) * 1_000);
    if (this.#hasEnded) this.#takeAway();
  }

  /** Takes note that the object is gone. */
  vanish(): void {
    this.#isGone = true;
    this.terminate(this.pod.spec.terminationGracePeriodSeconds * 1_000);
  }

  /** Ends the pod by the node's own decision. */
  evict(verdict: Verdict, graceMs: number): void {
    if (this.#hasEnded || this.#isEnding) return;
    this.#verdict = verdict;
    this.#disruption = { reason: "TerminationByKubelet", message: verdict.message };
    this.#report.ask();
    this.terminate(graceMs);
  }

  /** Asks the containers to end within the grace period; a repeat can only make it shorter. */
  terminate(graceMs: number): void {
    const { now } = this.#home;
    const endsAtMs = now() + Math.max(graceMs, 1_000);
    if (this.#hasEnded || endsAtMs >= this.#endsAtMs) return;
    this.#endsAtMs = endsAtMs;
    this.#isEnding = true;
    for (const container of this.containers) if (container.role !== "sidecar") container.stop(endsAtMs - now());
    this.#advance();
  }

  #mount(): void {
    if (this.#isEnding) return;
    this.#volumes = this.#mounted();
    if (this.#volumes === null) {
      this.#home.machine.later(retryMs, () => this.#mount());
      return;
    }
    this.#report.ask();
    this.#advance();
  }

  /** What the pod's volumes lie on; null while one of them cannot be had. */
  #mounted(): PodVolumes | null {
    const { api, volumes, machine, makeDisk, secretDisk } = this.#home;
    const { namespace, uid } = this.pod.metadata;
    const found = new Map<string, { disk: Disk; readOnly: boolean }>();
    for (const { name, emptyDir, projected, persistentVolumeClaim } of this.pod.spec.volumes) {
      if (emptyDir !== undefined) found.set(name, { disk: makeDisk(), readOnly: false });
      if (projected !== undefined) {
        const disk = secretDisk(projected.sources.find(({ secret }) => secret)?.secret?.name ?? "");
        if (disk === undefined) return null;
        found.set(name, { disk, readOnly: true });
      }
      if (persistentVolumeClaim === undefined) continue;
      const claim = api.store.get(claims, `${namespace}/${persistentVolumeClaim.claimName}`)?.object;
      const volume = claim === undefined ? undefined : volumes.of(claim);
      if (volume === undefined || !volumes.attach(volume, machine.name, uid)) return null;
      found.set(name, { disk: volume.disk, readOnly: false });
    }
    return found;
  }

  /** Takes the next step, if it is time for one; harmless at any time. */
  #advance(): void {
    if (this.#hasEnded) return;
    const isInitial = !this.#isEnding && this.#volumes !== null && this.#initialize();
    const main = this.containers.filter(({ role }) => role === "main");
    if (isInitial) {
      this.#wasInitialized = true;
      for (const container of main) this.#begin(container);
    }
    const isInitFailed = this.containers.some(({ role, isOver, snapshot }) => {
      return role === "init" && isOver && !isInitialized(snapshot);
    });
    const isMainOver = this.#wasInitialized ? main.every(({ isOver }) => isOver) : isInitFailed || this.#isEnding;
    if (isMainOver) this.#endSidecars();
  }

  /** Whether all that comes before the main containers has come so far; starts what is next. */
  #initialize(): boolean {
    for (const container of this.containers) {
      if (container.role === "main" || isInitialized(container.snapshot)) continue;
      // A sidecar that is being started again holds up nothing that has begun after it.
      if (container.role === "sidecar" && container.snapshot.restartCount > 0) continue;
      this.#begin(container);
      return false;
    }
    return true;
  }

  #begin(container: ContainerLife): void {
    if (this.#begun.has(container)) return;
    this.#begun.add(container);
    const { delays, machine } = this.#home;
    machine.later(delays.ms("start", `${this.#key}/${container.container.name}`), () => container.start());
  }

  #endSidecars(): void {
    const { now } = this.#home;
    const { terminationGracePeriodSeconds } = this.pod.spec;
    if (this.#endsAtMs === Number.POSITIVE_INFINITY) this.#endsAtMs = now() + terminationGracePeriodSeconds * 1_000;
    this.#isEnding = true;
    const others = this.containers.filter(({ role }) => role !== "sidecar");
    if (others.some(({ process }) => process !== null)) return;
    const last = this.containers.findLast(({ role, isOver }) => role === "sidecar" && !isOver);
    if (last !== undefined) {
      last.stop(Math.max(this.#endsAtMs - now(), sidecarGraceMs));
      if (last.isOver) this.#endSidecars();
      return;
    }
    this.#end();
  }

  #end(): void {
    this.#hasEnded = true;
    if (this.#wasInitialized) {
      for (const container of this.containers) container.abandon();
    }
    this.#report.ask();
    const { delays, machine, volumes } = this.#home;
    machine.later(delays.ms("cleanUp", this.#key), () => {
      volumes.detach(this.pod.metadata.uid);
      machine.giveBack(this.#address);
      this.#takeAway();
    });
  }

  /** The kubelet's last word on a pod that is to go: once nothing runs, and its end is told. */
  #takeAway(): void {
    if (!this.#isUnwanted || this.#isGone || this.#isLeaving) return;
    const { api, acting, actor, machine } = this.#home;
    const { namespace, name, uid } = this.pod.metadata;
    if (!machine.isHeard || !this.#report.isUpToDate) {
      this.#isLeaving = true;
      machine.later(retryMs, () => {
        this.#isLeaving = false;
        this.#takeAway();
      });
      return;
    }
    try {
      acting.by(actor, () => api.remove({ resource: pods, namespace, name }, { uid, gracePeriodSeconds: 0 }));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // It is gone already, or another pod has its name.
    }
  }

  get #key(): string {
    return `${this.pod.metadata.namespace}/${this.pod.metadata.name}`;
  }

  #snapshot(): PodSnapshot {
    return {
      containers: this.containers.map(({ snapshot }) => snapshot),
      wasInitialized: this.#wasInitialized,
      hasEnded: this.#hasEnded,
      isReadyToStart: this.#volumes !== null,
      verdict: this.#hasEnded ? this.#verdict : undefined,
      disruption: this.#disruption,
      startTime: this.#startTime,
      hostIP: `${this.#home.machine.network}.1`,
      podIP: this.#address,
    };
  }
}
