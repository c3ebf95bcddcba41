import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { aborted } from "../backoff.ts";
import type { ContainerRunner } from "../container/container-runner.ts";
import { type ContainerRole, isInitialized } from "../container/container-snapshot.ts";
import { GraceDeadline } from "../container/grace-deadline.ts";
import { PodVolumes } from "../volumes/pod-volumes.ts";
import type { PodPlace } from "./downward.ts";
import { type Pod, podName } from "./pod.ts";
import { containerRunners } from "./pod-containers.ts";
import type { PodHome } from "./pod-home.ts";
import type { PodSnapshot, Verdict } from "./pod-status.ts";
import { logPath } from "./preparation.ts";
import { StatusWriter } from "./status-writer.ts";

/** How a pod comes to this node. */
export type Arrival =
  | { readonly kind: "new" }
  /** An earlier life of this node ran it, and its containers ended with that. */
  | { readonly kind: "lost" }
  | { readonly kind: "refused"; readonly verdict: Verdict };

const sidecarGraceMs = 2_000;

/**
 * One pod on its node, from its binding to its end.
 *
 *     volumes ─► init containers and sidecars, in order ─► main containers ─► sidecars end, last first ─► final status
 *        └─────────────────┴──── terminate: SIGTERM to those that run ──┘                                    └─► deleted
 */
export class PodRunner {
  readonly uid: string;
  readonly #home: PodHome;
  readonly #directory: string;
  readonly #place: PodPlace;
  readonly #volumes: PodVolumes;
  readonly #containers: readonly ContainerRunner[];
  readonly #writer: StatusWriter;
  /** The containers are asked to end. */
  readonly #ending = new AbortController();
  /** The object is to go, or has gone. */
  readonly #unwanted = new AbortController();
  readonly #startTime: string;
  #pod: Pod;
  #deadline: GraceDeadline | undefined;
  #wasInitialized = false;
  #hasEnded = false;
  #isGone = false;
  #verdict: Verdict | undefined;
  #disruption: Verdict | undefined;
  #finished: Promise<void> | undefined;

  constructor(pod: Pod, home: PodHome) {
    this.uid = pod.metadata.uid;
    this.#pod = pod;
    this.#home = home;
    this.#directory = join(home.directory, "pods", this.uid);
    this.#startTime = pod.status.startTime ?? new Date().toISOString().replace(/\.\d+/, "");
    const { nodeName, address, capacity, client, onError, signal } = home;
    this.#place = { nodeName, hostIP: address, podIP: home.addresses.take(), allocatable: capacity };
    this.#writer = new StatusWriter({ client, pod, read: () => this.#snapshot(), onError, signal });
    this.#volumes = new PodVolumes(pod, { place: this.#place, home, directory: this.#directory });
    this.#containers = containerRunners(pod, {
      ...{ home, place: this.#place, volumes: this.#volumes, directory: this.#directory },
      onChange: () => this.#writer.changed(),
    });
  }

  /** What the API server last said about the pod. */
  get pod(): Pod {
    return this.#pod;
  }

  /** Whether it still uses what it asked for. */
  get isActive(): boolean {
    return !this.#hasEnded;
  }

  /** Begins the pod's life on this node; called once. */
  start(arrival: Arrival): void {
    this.#finished = this.#live(arrival);
    this.update(this.#pod);
  }

  /** Takes note of a newer state of the object: of a deletion, above all. */
  update(pod: Pod): void {
    this.#pod = pod;
    const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
    if (deletionTimestamp === undefined) return;
    this.#unwanted.abort();
    this.terminate((deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds) * 1_000);
  }

  /** Takes note that the object is gone, and with it whatever held the containers. */
  vanish(): void {
    this.#isGone = true;
    this.#unwanted.abort();
    this.terminate(this.#pod.spec.terminationGracePeriodSeconds * 1_000);
  }

  /** Asks the containers to end within the grace period; a repeat can only make it shorter. */
  terminate(graceMs: number, verdict?: Verdict): void {
    this.#verdict ??= this.#hasEnded ? undefined : verdict;
    this.#endWithin(graceMs);
    this.#ending.abort();
    for (const container of this.#containers) {
      if (container.role !== "sidecar" && this.#deadline !== undefined) container.stop(this.#deadline);
    }
  }

  /** Ends the pod as the node's own decision, and says so to whoever counts failures. */
  evict(verdict: Verdict): void {
    if (this.#hasEnded) return;
    this.#disruption = { reason: "TerminationByKubelet", message: verdict.message };
    this.terminate(1_000, verdict);
    this.#writer.changed();
  }

  /** Ends all containers at once, sidecars too, without a word to any of them. */
  kill(): void {
    this.terminate(0);
    for (const container of this.#containers) {
      if (this.#deadline !== undefined) container.stop(this.#deadline);
      container.signalAll("SIGKILL");
    }
  }

  /** The runner of a container. @throws {Error} when the pod has none of that name. */
  container(name: string): ContainerRunner {
    const found = this.#containers.find((container) => container.name === name);
    if (found === undefined) throw new Error(`Cannot find container "${name}" in pod ${podName(this.#pod)}`);
    return found;
  }

  /** Signals all processes of all containers. */
  signalAll(signal: NodeJS.Signals): void {
    for (const container of this.#containers) container.signalAll(signal);
  }

  /** Where the log of a container's run is, `runsAgo` runs before this one; undefined when there was none. */
  logPath(name: string, runsAgo: number): string | undefined {
    const container = this.#containers.find((other) => other.name === name);
    if (container === undefined) return undefined;
    const path = logPath(join(this.#directory, name), container.snapshot.restartCount - runsAgo);
    return existsSync(path) ? path : undefined;
  }

  /** Whether a container runs now. */
  isRunning(name: string): boolean {
    return !this.#hasEnded && this.container(name).snapshot.state.kind === "running";
  }

  /** Resolves when the pod has ended, its end is written, and its object is gone or the node stops. */
  async finished(): Promise<void> {
    await this.#finished;
  }

  /** Removes what the pod leaves on this machine, its claims excepted. */
  async remove(): Promise<void> {
    await this.finished();
    this.#home.addresses.release(this.#place.podIP);
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #live(arrival: Arrival): Promise<void> {
    this.#writer.changed();
    if (arrival.kind === "refused") this.#verdict = arrival.verdict;
    if (arrival.kind === "lost") this.#wasInitialized = true;
    if (arrival.kind === "new") await this.#runContainers().catch((error: unknown) => this.#giveUp(error));
    this.#hasEnded = true;
    this.#deadline?.cancel();
    if (arrival.kind === "lost" || (this.#wasInitialized && this.#ending.signal.aborted)) {
      for (const container of this.#containers) container.abandon();
    }
    this.#writer.changed();
    await this.#writer.settled();
    await Promise.race([aborted(this.#unwanted.signal), aborted(this.#home.signal)]);
    if (!this.#isGone) await this.#writer.deleteObject();
  }

  async #runContainers(): Promise<void> {
    const limit = this.#limitLife();
    const over = new AbortController();
    try {
      if (!(await this.#volumes.prepare(this.#ending.signal))) return;
      this.#writer.changed();
      void this.#volumes.refreshTokens(over.signal);
      const sidecars: Promise<void>[] = [];
      if (await this.#initialize(sidecars)) {
        this.#wasInitialized = true;
        await Promise.all(this.#ofRole("main").map((container) => container.run()));
      }
      await this.#endSidecars(sidecars);
    } finally {
      clearTimeout(limit);
      over.abort();
    }
  }

  /** Runs the init containers; false when one has failed or the pod is to end. */
  async #initialize(sidecars: Promise<void>[]): Promise<boolean> {
    for (const container of this.#containers) {
      if (this.#ending.signal.aborted) return false;
      if (container.role === "sidecar") {
        sidecars.push(container.run());
        await Promise.race([container.started, aborted(this.#ending.signal)]);
      }
      if (container.role === "init") {
        await container.run();
        if (!isInitialized(container.snapshot)) return false;
      }
    }
    return !this.#ending.signal.aborted;
  }

  async #endSidecars(running: readonly Promise<void>[]): Promise<void> {
    const graceMs = this.#pod.spec.terminationGracePeriodSeconds * 1_000;
    const deadline = this.#endWithin(graceMs);
    const sidecars = this.#ofRole("sidecar").slice(0, running.length);
    for (const [index, sidecar] of [...sidecars.entries()].reverse()) {
      // Whoever used up the grace period leaves a sidecar the moment that it takes to write a last word.
      const own = deadline.remainingMs() < sidecarGraceMs ? new GraceDeadline(sidecarGraceMs) : deadline;
      sidecar.stop(own);
      await running[index];
      own.cancel();
    }
  }

  #endWithin(graceMs: number): GraceDeadline {
    const atLeastMs = Math.max(graceMs, 1_000);
    this.#deadline ??= new GraceDeadline(atLeastMs);
    this.#deadline.shorten(atLeastMs);
    return this.#deadline;
  }

  /** What nobody foresaw must not leave a pod that runs for ever and that nobody can delete. */
  #giveUp(error: unknown): void {
    this.#home.onError(new Error(`Cannot run pod ${podName(this.#pod)} any further`, { cause: error }));
    this.#verdict ??= { reason: "ProcessNodeError", message: error instanceof Error ? error.message : String(error) };
    this.kill();
  }

  #limitLife(): NodeJS.Timeout | undefined {
    const { activeDeadlineSeconds, terminationGracePeriodSeconds } = this.#pod.spec;
    if (activeDeadlineSeconds === undefined) return undefined;
    const leftMs = Date.parse(this.#startTime) + activeDeadlineSeconds * 1_000 - Date.now();
    const message = "Pod was active on the node longer than the specified deadline";
    const end = () => this.terminate(terminationGracePeriodSeconds * 1_000, { reason: "DeadlineExceeded", message });
    return setTimeout(end, Math.max(0, leftMs));
  }

  #ofRole(role: ContainerRole): ContainerRunner[] {
    return this.#containers.filter((container) => container.role === role);
  }

  #snapshot(): PodSnapshot {
    return {
      containers: this.#containers.map((container) => container.snapshot),
      wasInitialized: this.#wasInitialized,
      hasEnded: this.#hasEnded,
      isReadyToStart: this.#volumes.directories !== undefined,
      verdict: this.#hasEnded ? this.#verdict : undefined,
      disruption: this.#disruption,
      startTime: this.#startTime,
      hostIP: this.#place.hostIP,
      podIP: this.#place.podIP,
    };
  }
}
