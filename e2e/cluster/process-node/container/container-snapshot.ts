/** How a container's run ended. */
export interface TerminatedState {
  readonly kind: "terminated";
  readonly reason: string;
  readonly exitCode: number;
  readonly message: string;
  /** RFC 3339; empty for a container that never ran. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly containerId: string;
}

/** What a container does now. */
export type ContainerState =
  | { readonly kind: "waiting"; readonly reason: string; readonly message?: string }
  | { readonly kind: "running"; readonly startedAt: string }
  | TerminatedState;

/** An init container ends before the next starts; a sidecar starts before the next and stays; the main ones follow. */
export type ContainerRole = "init" | "sidecar" | "main";

/** All that a pod's status says about one container, at one instant. */
export interface ContainerSnapshot {
  readonly name: string;
  readonly role: ContainerRole;
  readonly image: string;
  readonly state: ContainerState;
  readonly lastState: TerminatedState | undefined;
  readonly restartCount: number;
  /** It runs and its startup probe, if any, has succeeded. */
  readonly isStarted: boolean;
  /** It may be sent work; for an init container: it has done its own. */
  readonly isReady: boolean;
  readonly containerId: string | undefined;
}

/** Whether a container that comes before others has got so far that the next may start. */
export function isInitialized(container: ContainerSnapshot): boolean {
  if (container.role === "sidecar") return container.isStarted;
  return container.state.kind === "terminated" && container.state.exitCode === 0;
}
