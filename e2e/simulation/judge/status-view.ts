import { type Fields, fieldsOf, listOf, type StoredObject } from "../model/api/object.ts";

/** An attempt as the status has it. */
export type EntryView = Readonly<{
  number: number;
  generation: number;
  pods: readonly string[];
  endTime: string | null;
  cause: string | null;
  /** What its end costs; not counted yet where that may turn out otherwise. */
  charge: string | null;
  isUndecided: boolean;
}>;

/** What the judge reads of a run's status. It is the judge's own reading: whatever the operator stored, it must not throw. */
export type StatusView = Readonly<{
  state: string | null;
  attempt: number;
  fencedAttempt: number;
  observedGeneration: number;
  step: number | null;
  stop: Readonly<{ attempt: number; cause: string; reason: string }> | null;
  attempts: readonly EntryView[];
  totals: Readonly<{ attempts: number; disruptions: number; failures: number; stalls: number }>;
  latestVerified: Readonly<{ step: number; digest: string }> | null;
  /** Digests that the run will not resume from. */
  suspects: readonly string[];
  conditions: readonly Readonly<{ type: string; status: string; reason: string; message: string }>[];
}>;

const views = new WeakMap<StoredObject, StatusView>();

/** Reads a run's status. */
export function statusOf(run: StoredObject): StatusView {
  const known = views.get(run);
  if (known !== undefined) return known;
  const view = read(fieldsOf(run.status));
  views.set(run, view);
  return view;
}

/** The status of a condition, or undefined where the run has none of the type. */
export function conditionOf(run: StoredObject, type: string): StatusView["conditions"][number] | undefined {
  return statusOf(run).conditions.find((condition) => condition.type === type);
}

function read(status: Fields): StatusView {
  const stop = fieldsOf(status.stop);
  const totals = fieldsOf(status.totals);
  const verified = fieldsOf(status.latestVerified);
  const progress = fieldsOf(status.progress);
  return {
    state: textOf(status.state),
    attempt: countOf(status.attempt),
    fencedAttempt: countOf(status.fencedAttempt),
    observedGeneration: countOf(status.observedGeneration),
    step: typeof progress.step === "number" ? progress.step : null,
    stop: typeof stop.attempt === "number" ? { ...namedEnd(stop), attempt: stop.attempt } : null,
    attempts: listOf(status.attempts).map((entry) => entryOf(fieldsOf(entry))),
    totals: {
      attempts: countOf(totals.attempts),
      disruptions: countOf(totals.disruptions),
      failures: countOf(totals.failures),
      stalls: countOf(totals.stalls),
    },
    latestVerified:
      typeof verified.step === "number" ? { step: verified.step, digest: textOf(verified.digest) ?? "" } : null,
    suspects: listOf(status.suspects).flatMap((suspect) => textOf(fieldsOf(suspect).digest) ?? []),
    conditions: listOf(status.conditions).map((each) => {
      const condition = fieldsOf(each);
      const part = (field: string) => textOf(condition[field]) ?? "";
      return { type: part("type"), status: part("status"), reason: part("reason"), message: part("message") };
    }),
  };
}

function entryOf(entry: Fields): EntryView {
  return {
    number: countOf(entry.number),
    generation: countOf(entry.generation),
    pods: listOf(entry.pods).flatMap((pod) => textOf(fieldsOf(pod).uid) ?? []),
    endTime: textOf(entry.endTime),
    cause: textOf(entry.cause),
    charge: textOf(entry.charge),
    isUndecided: textOf(entry.chargeDueTime) !== null,
  };
}

function namedEnd({ cause, reason }: Fields): Readonly<{ cause: string; reason: string }> {
  return { cause: textOf(cause) ?? "", reason: textOf(reason) ?? "" };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function countOf(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
