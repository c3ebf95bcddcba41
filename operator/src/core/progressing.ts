import { isTold, type Statement } from "./conditions.ts";
import type { Addition } from "./draft.ts";
import type { Observed } from "./observed.ts";
import type { Obstacle } from "./supported.ts";

/** What the condition `Progressing` says. */
export function progressing(status: Statement["status"], reason: string, message: string): Statement {
  return { type: "Progressing", status, reason, message };
}

/** An obstacle as a condition, and as an event where it is new. */
export function said({ run }: Observed, { reason, message }: Obstacle): Pick<Addition, "statements" | "events"> {
  const statement = progressing("False", reason, message);
  const events = isTold(run.status.conditions, statement) ? [] : [{ type: "Warning", reason, message } as const];
  return { statements: [statement], events };
}
