import { TrainingRunStatus } from "./status.ts";

/** A stored status as far as it can be read, and the paths of what was left out; or why it must not be acted on. */
export type StoredStatus =
  | Readonly<{ kind: "Read"; status: TrainingRunStatus; leftOut: readonly string[] }>
  | Readonly<{ kind: "Unreadable"; issues: readonly string[] }>;

/**
 * Reads a status that another version may have written. A value this version does not know is left out where no
 * attempt is numbered, ended or opened by it. Those are never guessed at (I8, I9), nor is what tells a lost volume
 * from a first start (I10).
 */
export function readStatus(stored: unknown): StoredStatus {
  let status: unknown = stored ?? {};
  const leftOut: string[] = [];
  // Ends because each round takes something away that was stored.
  for (;;) {
    const parsed = TrainingRunStatus.safeParse(status);
    if (parsed.success) return { kind: "Read", status: parsed.data, leftOut: [...new Set(leftOut)] };
    const { issues } = parsed.error;
    const part = expendable(issues[0], status);
    if (part === null) {
      return { kind: "Unreadable", issues: issues.map(({ path, message }) => `${nameOf(path)}: ${message}`) };
    }
    status = without(status, part);
    leftOut.push(nameOf(part));
  }
}

type Path = readonly PropertyKey[];
type Issue = Readonly<{ code?: string | undefined; path: Path; origin?: unknown; maximum?: unknown }>;

/** Shown, or learned and counted anew from the next attempt on. */
const whole: Path = [
  "observedGeneration",
  "state",
  "silence",
  "stop",
  "progress",
  "interval",
  "graceNeededSeconds",
  "best",
  "retry",
  "totals",
];
/** Lists whose entries stand alone, newest first. */
const lists: Path = ["attempts", "checkpoints", "refused", "suspects", "conditions"];
/** What an attempt of the ledger is known by. The rest of its entry says how it fared. */
const identity: Path = ["number", "generation", "pods", "startTime", "endTime", "from", "source"];
/** The run is over by these. */
const ends: readonly unknown[] = ["Complete", "Failed"];

/** The smallest part around an issue that may be left out; null where none may. */
function expendable(issue: Issue | undefined, status: unknown): Path | null {
  const path = issue?.path ?? [];
  const [field, index, key] = path;
  if (field === undefined) return null;
  if (whole.includes(field)) return [field];
  if (field === "latestVerified")
    return path.length > 2 && (index === "tiers" || index === "metrics") ? path.slice(0, 3) : null;
  if (!lists.includes(field)) return null;
  if (index === undefined) {
    const isLong = issue?.code === "too_big" && typeof issue.maximum === "number";
    return isLong ? [field, Number(issue.maximum)] : field === "attempts" || field === "conditions" ? null : [field];
  }
  if (field === "attempts" && key !== undefined && !identity.includes(key)) return [field, index, key];
  if (field === "attempts" && index === 0) return null;
  if (field === "conditions" && ends.includes(at(at(at(status, field), index), "type"))) return null;
  return key === "tiers" && path.length > 3 ? path.slice(0, 4) : [field, index];
}

function nameOf(path: Path): string {
  return ["status", ...path].map(String).join(".");
}

function at(value: unknown, key: PropertyKey): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}

function without(value: unknown, [key, ...rest]: Path): unknown {
  const kept = (held: unknown) => (rest.length === 0 ? [] : [without(held, rest)]);
  if (Array.isArray(value)) return value.flatMap((held, index) => (index === key ? kept(held) : [held]));
  const entries = Object.entries(value ?? {});
  return Object.fromEntries(
    entries.flatMap(([name, held]) => (name === key ? kept(held) : [held]).map((left) => [name, left])),
  );
}
