import type { Event } from "./history.ts";
import type { Judgement } from "./oracle.ts";

/** What many plays have tried, as data that one process can send to another. */
export type Tried = Readonly<{
  plays: number;
  violations: number;
  /** By the id of the check. */
  evaluations: Readonly<Record<string, number>>;
  /** By the kind of the fault: how many began, and how many of them met something. */
  faults: Readonly<Record<string, Readonly<{ began: number; met: number }>>>;
  /** By kind of fault and state of a run: `PodEvicted x Saving`. */
  cells: Readonly<Record<string, number>>;
}>;

/** Nothing tried. */
export const nothingTried: Tried = { plays: 0, violations: 0, evaluations: {}, faults: {}, cells: {} };

/** What one play has tried. */
export function triedBy(events: readonly Event[], { violations, evaluations }: Judgement): Tried {
  const faults: Record<string, { began: number; met: number }> = {};
  const cells: Record<string, number> = {};
  for (const event of events) {
    if (event.kind !== "FaultBegan" && event.kind !== "FaultMet") continue;
    const count = faults[event.fault] ?? { began: 0, met: 0 };
    faults[event.fault] = count;
    if (event.kind === "FaultMet") count.met += 1;
    else count.began += 1;
    if (event.kind === "FaultMet") continue;
    for (const phase of new Set(event.phases)) {
      const cell = `${event.fault} x ${phase}`;
      cells[cell] = (cells[cell] ?? 0) + 1;
    }
  }
  return { plays: 1, violations: violations.length, evaluations, faults, cells };
}

/** What both have tried. */
export function together(a: Tried, b: Tried): Tried {
  const kinds = new Set([...Object.keys(a.faults), ...Object.keys(b.faults)]);
  const countOf = ({ faults }: Tried, kind: string) => faults[kind] ?? { began: 0, met: 0 };
  const faults = [...kinds].sort().map((kind) => {
    const [one, other] = [countOf(a, kind), countOf(b, kind)];
    return [kind, { began: one.began + other.began, met: one.met + other.met }] as const;
  });
  return {
    plays: a.plays + b.plays,
    violations: a.violations + b.violations,
    evaluations: summed(a.evaluations, b.evaluations),
    faults: Object.fromEntries(faults),
    cells: summed(a.cells, b.cells),
  };
}

/** What was to be tried and never was: checks that had nothing to look at, and faults that met nothing. */
export function untried(
  { evaluations, faults }: Tried,
  wanted: Readonly<{ checks: readonly string[]; faults: readonly string[] }>,
): string[] {
  return [
    ...wanted.checks.filter((id) => (evaluations[id] ?? 0) === 0).map((id) => `check ${id}`),
    ...wanted.faults.filter((kind) => (faults[kind]?.met ?? 0) === 0).map((kind) => `fault ${kind}`),
  ];
}

function summed(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return Object.fromEntries(keys.map((key) => [key, (a[key] ?? 0) + (b[key] ?? 0)]));
}
