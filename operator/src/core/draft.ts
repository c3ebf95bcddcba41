import type { RunState, TrainingRunStatus } from "../api/status.ts";
import { type Statement, setCondition } from "./conditions.ts";
import type { Action, Decision, RunEvent } from "./decision.ts";
import type { Observed } from "./observed.ts";

/** A decision on its way through the control flow: each step returns the next one. */
export type Draft = Readonly<{
  status: TrainingRunStatus;
  actions: readonly Action[];
  events: readonly RunEvent[];
  /** Waits in milliseconds; the shortest counts. */
  waits: readonly number[];
}>;

/** What a step adds to a draft. */
export type Addition = Readonly<{
  state?: RunState;
  status?: TrainingRunStatus;
  statements?: readonly Statement[];
  actions?: readonly Action[];
  events?: readonly RunEvent[];
  waits?: readonly number[];
}>;

/** A draft that only mirrors what was learned. */
export function draftOf(status: TrainingRunStatus): Draft {
  return { status, actions: [], events: [], waits: [] };
}

/** The draft with an addition; its statements become conditions. */
export function add(draft: Draft, { now, run }: Observed, addition: Addition): Draft {
  const status = addition.status ?? draft.status;
  const context = { now, generation: run.metadata.generation };
  const conditions = (addition.statements ?? []).reduce(
    (sum, statement) => setCondition(sum, statement, context),
    status.conditions ?? [],
  );
  return {
    status: {
      ...status,
      ...(addition.state === undefined ? {} : { state: addition.state }),
      ...(conditions.length > 0 ? { conditions } : {}),
    },
    actions: [...draft.actions, ...(addition.actions ?? [])],
    events: [...draft.events, ...(addition.events ?? [])],
    waits: [...draft.waits, ...(addition.waits ?? [])],
  };
}

const order: readonly Action["kind"][] = [
  "HoldRun",
  "CreateClaim",
  "CreateService",
  "CreatePod",
  "CreateRemovalPod",
  "DeletePod",
  "ReleasePod",
  "DeleteClaim",
  "ReleaseRun",
  "DeleteRun",
  // Last: who refuses it must not keep anything else from being done.
  "MendPod",
];

/** What was given up goes before its successor comes: a quota or a node has room for one of them perhaps. */
function rankOf(action: Action): number {
  return action.kind === "DeletePod" && action.force === true ? -1 : order.indexOf(action.kind);
}

const longestWaitMs = 24 * 3600 * 1000;

/** Ends a draft: the finalizer before anything it guards, creations before cleaning up, the run last. */
export function decisionOf({ status, actions, events, waits }: Draft): Decision {
  const due = waits.length === 0 ? undefined : Math.min(longestWaitMs, Math.max(0, ...[Math.min(...waits)]));
  return {
    status: withoutUndefined(status),
    actions: actions.toSorted((a, b) => rankOf(a) - rankOf(b)),
    events,
    ...(due === undefined ? {} : { requeueAfterMs: due }),
  };
}

/** A field that is undefined and one that is absent are the same to the API server; here they are made the same. */
function withoutUndefined(status: TrainingRunStatus): TrainingRunStatus {
  return Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined));
}
