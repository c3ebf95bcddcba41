import { crashBackoffMs, longRunMs, unknownEnd } from "../../../cluster/process-node/container/container-rules.ts";
import type {
  ContainerRole,
  ContainerSnapshot,
  TerminatedState,
} from "../../../cluster/process-node/container/container-snapshot.ts";
import type { Container } from "../../../cluster/process-node/pod/pod.ts";
import type { Ending, SimProcess } from "../../host/process.ts";
import type { Fact } from "../../judge/history.ts";
import { timestamp } from "../api/object.ts";

//     waiting ──start──► running ──end──► terminated ──may start again──► waiting (CrashLoopBackOff) ─┐
//        ▲                                    │                                                       │
//        └────────────────────────────────────┼───────────────────────────────────────────────────────┘
//                                             └──no more, or stopped──► over

/** How a run of a container ended. */
export type ContainerEnd = Readonly<{ exitCode: number; reason: "Completed" | "Error" | "OOMKilled"; message: string }>;

/** An end that somebody else brought about, and what is told of it. */
export type ForcedEnd = Omit<ContainerEnd, "message"> &
  Readonly<{ how: NonNullable<Extract<Fact, { kind: "ContainerEnded" }>["how"]> }>;

/** The kernel has killed it for want of memory. */
export const outOfMemory: ForcedEnd = { exitCode: 137, reason: "OOMKilled", how: "OutOfMemory" };

/** What a container has of its pod and its node. */
export type ContainerHome = Readonly<{
  role: ContainerRole;
  restarts: "Always" | "OnFailure" | "Never";
  /** Why it cannot be made at present; null where it can. */
  troubleOf: (container: Container) => Readonly<{ reason: string; message: string }> | null;
  /** Makes its process and starts its program; `ended` tells what the run left. */
  launch: (
    container: Container,
  ) => Readonly<{ process: SimProcess; ended: (ending: Ending, forced: ForcedEnd | null) => ContainerEnd }>;
  /** Lets the kubelet act. */
  later: (delayMs: number, run: () => void) => void;
  /** Until the kubelet has seen an end. */
  noticeMs: () => number;
  now: () => number;
  clockMs: () => number;
  onChange: () => void;
  onStop: (graceMs: number) => void;
}>;

/** So long a kubelet waits until it tries anew to make a container. */
const remakeMs = 5_000;
const [firstBackOffMs, longestBackOffMs] = crashBackoffMs;

/** One container of a pod, through all its runs. */
export class ContainerLife {
  readonly container: Container;
  readonly #home: ContainerHome;
  #snapshot: ContainerSnapshot;
  #process: SimProcess | null = null;
  #startedAtMs = 0;
  #crashes = 0;
  #isStopping = false;
  #isOver = false;
  #forced: ForcedEnd | null = null;

  constructor(container: Container, { home, firstReason }: { home: ContainerHome; firstReason: string }) {
    this.container = container;
    this.#home = home;
    this.#snapshot = {
      name: container.name,
      role: home.role,
      image: container.image,
      state: { kind: "waiting", reason: firstReason },
      lastState: undefined,
      restartCount: 0,
      isStarted: false,
      isReady: false,
      containerId: undefined,
    };
  }

  get role(): ContainerRole {
    return this.#home.role;
  }

  /** What the pod's status says of it. */
  get snapshot(): ContainerSnapshot {
    return this.#snapshot;
  }

  /** Its process now; null where none runs. */
  get process(): SimProcess | null {
    return this.#process;
  }

  /** It has ended, or was stopped before it began, and will not run again. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Starts its program. */
  start(): void {
    if (this.#isStopping || this.#process !== null) return;
    const { launch, now, clockMs, role, later, noticeMs, troubleOf } = this.#home;
    const trouble = troubleOf(this.container);
    if (trouble !== null) {
      this.#change({ state: { kind: "waiting", ...trouble } });
      later(remakeMs, () => this.start());
      return;
    }
    const startedAt = timestamp(clockMs());
    const { process, ended } = launch(this.container);
    this.#process = process;
    this.#startedAtMs = now();
    const containerId = `model://${process.key}`;
    this.#change({ state: { kind: "running", startedAt }, containerId, isStarted: true, isReady: role !== "init" });
    process.atEnd((ending) => {
      const finishedAt = timestamp(clockMs());
      const end = ended(ending, this.#forced);
      this.#forced = null;
      later(noticeMs(), () => this.#ended({ kind: "terminated", ...end, startedAt, finishedAt, containerId }));
    });
  }

  /** SIGTERM now, where it runs, and SIGKILL when the time is over; a repeat can only make it shorter. */
  stop(graceMs: number): void {
    const process = this.#process;
    const isFirst = !this.#isStopping;
    this.#isStopping = true;
    if (process === null) {
      this.#isOver = true;
      return;
    }
    if (isFirst) {
      this.#home.onStop(graceMs);
      process.terminate();
    }
    this.#home.later(graceMs, () => process.kill("SIGKILL at the end of the grace period"));
  }

  /** Ends its process at once, in a way that is told as its own. */
  force(end: ForcedEnd): void {
    if (this.#process === null) return;
    this.#forced = end;
    this.#process.kill(`an end by ${end.how}`);
  }

  /** Settles what is said of it when it will not run any more: its last end, or that nobody knows. */
  abandon(): void {
    if (this.#snapshot.state.kind !== "terminated") this.#change({ state: this.#snapshot.lastState ?? unknownEnd });
  }

  #ended(state: TerminatedState): void {
    this.#process = null;
    this.#change({ state, isStarted: false, isReady: this.role === "init" && state.exitCode === 0 });
    if (this.#isStopping || !this.#mayStartAgain(state.exitCode)) {
      this.#isOver = true;
      this.#home.onChange();
      return;
    }
    if (this.#home.now() - this.#startedAtMs > longRunMs) this.#crashes = 0;
    const backOffMs = this.#crashes === 0 ? 0 : Math.min(firstBackOffMs * 2 ** (this.#crashes - 1), longestBackOffMs);
    this.#crashes += 1;
    if (backOffMs > 0) this.#backOff(state, backOffMs);
    this.#home.later(backOffMs, () => this.#startAgain(state));
  }

  #backOff(lastState: TerminatedState, backOffMs: number): void {
    const message = `back-off ${Math.round(backOffMs / 1_000)}s restarting failed container=${this.container.name}`;
    this.#change({ state: { kind: "waiting", reason: "CrashLoopBackOff", message }, lastState });
  }

  #startAgain(lastState: TerminatedState): void {
    if (this.#isStopping) return;
    this.#snapshot = { ...this.#snapshot, restartCount: this.#snapshot.restartCount + 1, lastState };
    this.start();
  }

  #mayStartAgain(exitCode: number): boolean {
    const { restarts } = this.#home;
    return restarts === "Always" || (restarts === "OnFailure" && exitCode !== 0);
  }

  #change(change: Partial<ContainerSnapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    this.#home.onChange();
  }
}
