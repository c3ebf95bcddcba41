import { type Condition, type ConditionType, conditionTypes } from "../api/conditions.ts";
import { timeOf } from "./instant.ts";
import type { Instant } from "./observed.ts";

/** What a condition says; when it began to say so is kept by {@link setCondition}. */
export type Statement = Readonly<{
  type: ConditionType;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
}>;

type Context = Readonly<{ now: Instant; generation: number }>;

const maxMessageLength = 2048;
const maxReasonLength = 256;

/** Puts a statement among the conditions, in a stable order. The transition time moves only when the status does. */
export function setCondition(conditions: readonly Condition[], statement: Statement, context: Context): Condition[] {
  const before = conditions.find(({ type }) => type === statement.type);
  const lastTransitionTime = before?.status === statement.status ? before.lastTransitionTime : timeOf(context.now);
  const next: Condition = {
    type: statement.type,
    status: statement.status,
    observedGeneration: context.generation,
    lastTransitionTime,
    reason: wordOf(statement.reason),
    message: statement.message.slice(0, maxMessageLength),
  };
  const rest = conditions.filter(({ type }) => type !== statement.type);
  return [...rest, next].sort((a, b) => rank(a.type) - rank(b.type));
}

/** True where the condition is there and True. */
export function isTrue(conditions: readonly Condition[] | undefined, type: ConditionType): boolean {
  return conditions?.some((condition) => condition.type === type && condition.status === "True") ?? false;
}

/** True where the condition of the statement's type has its reason already: then nobody has to be told again. */
export function isTold(conditions: readonly Condition[] | undefined, { type, reason }: Statement): boolean {
  return conditions?.some((condition) => condition.type === type && condition.reason === reason) ?? false;
}

/**
 * Reasons come from schedulers, kubelets and agents too. One that is no CamelCase word would have the API server
 * refuse the whole status, and with it every decision on the run.
 */
function wordOf(reason: string): string {
  const word = reason
    .replace(/^[^A-Za-z]+|[^A-Za-z0-9_,:]+/g, "")
    .slice(0, maxReasonLength)
    .replace(/[,:]+$/, "");
  return word === "" ? "Unspecified" : word;
}

function rank(type: string): number {
  const index = (conditionTypes as readonly string[]).indexOf(type);
  return index === -1 ? conditionTypes.length : index;
}
