import type { Action, RunEvent } from "../core/decision.ts";

/** Events that tell of an action, by their reason; every other one tells of what stands in status. */
const tellsOf: Readonly<Record<string, Action["kind"]>> = {
  AttemptStarted: "CreatePod",
  PodsAbandoned: "ReleaseRun",
  ObjectsAbandoned: "ReleaseRun",
};

/** What a pass has come to, as far as its events depend on it. */
export type PassDone = Readonly<{
  events: readonly RunEvent[];
  /** Whether the status stands as decided, in whatever form. */
  statusStands: boolean;
  decided: readonly Action[];
  done: readonly Action[];
}>;

/**
 * Says which events may be told. What stands in status is told whatever becomes of the actions; what tells of an
 * action waits until a pass has done it. Waiting ones are held in memory alone: an event is for people.
 */
export class RunEvents {
  readonly #held = new Map<string, readonly RunEvent[]>();

  /** The events to publish after a pass, earlier ones first. */
  due(runUid: string, pass: PassDone): readonly RunEvent[] {
    const repeated = (event: RunEvent) => pass.events.some(({ reason }) => reason === event.reason);
    const held = (this.#held.get(runUid) ?? []).filter((event) => !repeated(event));
    const facts = pass.events.filter(({ reason }) => tellsOf[reason] === undefined && pass.statusStands);
    const waiting = [...held, ...pass.events.filter(({ reason }) => tellsOf[reason] !== undefined)];
    const told = waiting.filter((event) => isDone(event, pass));
    const left = waiting.filter((event) => !told.includes(event));
    if (left.length === 0) this.#held.delete(runUid);
    else this.#held.set(runUid, left);
    return [...facts, ...told];
  }

  /** The run is gone. */
  forget(runUid: string): void {
    this.#held.delete(runUid);
  }
}

function isDone({ reason }: RunEvent, { decided, done }: PassDone): boolean {
  const kind = tellsOf[reason];
  const wanted = decided.filter((action) => action.kind === kind);
  return wanted.length > 0 && wanted.every((action) => done.includes(action));
}
