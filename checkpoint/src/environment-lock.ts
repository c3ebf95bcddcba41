import {
  type EnvironmentDifference,
  type EnvironmentMismatch,
  type EnvironmentVerdict,
  maxShownLength,
  reportLimits,
} from "./contract/resume.ts";

/** The file of a checkpoint that holds the environment it was saved in. */
export const environmentFile = "environment.json";

/** A document has a few dozen facts; what claims to have more than this is compared as far as this goes. */
const maxFacts = 1_000;
const maxDepth = 8;

/**
 * Names every fact in which two environments differ, sorted by name. The facts are the leaves of the documents, named
 * by their path, so a document of a later version is compared as well. A fact that only one side knows is a difference:
 * nobody can say that it is the same. `before` is undefined where the checkpoint holds no such document.
 */
export function compareEnvironments(before: unknown, now: unknown): EnvironmentDifference[] {
  if (before === undefined) return [{ member: environmentFile, now: "recorded" }];
  const [old, present] = [factsOf(before), factsOf(now)];
  const members = [...new Set([...old.keys(), ...present.keys()])].sort();
  return members
    .filter((member) => old.get(member) !== present.get(member))
    .map((member) => ({
      member: shown(member),
      ...sideOf("before", old.get(member)),
      ...sideOf("now", present.get(member)),
    }));
}

/** The differences in the named facts alone, for one who knows only these of the present. */
export function compareKnown(before: unknown, known: Readonly<Record<string, string>>): EnvironmentDifference[] {
  const old = factsOf(before);
  return Object.entries(known)
    .filter(([member, value]) => old.get(member) !== value)
    .map(([member, value]) => ({ member, ...sideOf("before", old.get(member)), ...sideOf("now", value) }));
}

/** The differences as a report carries them. */
export function environmentVerdict(
  differences: readonly EnvironmentDifference[],
  policy: EnvironmentMismatch,
): EnvironmentVerdict {
  return { policy, total: differences.length, differences: differences.slice(0, reportLimits.differences) };
}

/** Both sides of each difference in one sentence; `limits` bounds how many are named, and how long a value may be. */
export function describeDifferences(
  differences: readonly EnvironmentDifference[],
  limits: { named: number; length: number } = { named: Number.POSITIVE_INFINITY, length: maxShownLength },
): string {
  const side = (value: string | undefined, unknown: string) =>
    value === undefined ? unknown : shown(value, limits.length);
  const named = differences
    .slice(0, limits.named)
    .map(
      ({ member, before, now }) =>
        `${member} is ${side(before, "not recorded")} in the checkpoint, ${side(now, "unknown")} here`,
    );
  const more = differences.length - named.length;
  return [...named, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}

/** A document that is no object has no fact but itself. */
function factsOf(document: unknown): Map<string, string> {
  const facts = new Map<string, string>();
  collect(document, [], facts);
  return facts;
}

function collect(value: unknown, path: readonly string[], facts: Map<string, string>): void {
  if (facts.size >= maxFacts) return;
  if (typeof value === "object" && value !== null && !Array.isArray(value) && path.length < maxDepth) {
    for (const [name, member] of Object.entries(value)) collect(member, [...path, name], facts);
    return;
  }
  facts.set(path.join("."), typeof value === "string" ? value : (JSON.stringify(value) ?? "undefined"));
}

function sideOf<Side extends "before" | "now">(side: Side, value: string | undefined): { [side in Side]?: string } {
  return value === undefined ? {} : ({ [side]: shown(value) } as { [side in Side]: string });
}

/** Both ends of a long text, and more of the second: an image's name is at the one, its digest at the other. */
function shown(text: string, length = maxShownLength): string {
  if (text.length <= length) return text;
  const end = Math.floor((length * 5) / 8);
  return `${text.slice(0, length - 1 - end)}…${text.slice(-end)}`.toWellFormed();
}
