import { TrainingRunSpec } from "@trainingrun/operator/api/spec.ts";
import { nameRules } from "@trainingrun/operator/api/training-run.ts";
import { customKind, type RuleTwins } from "./custom-kind.ts";
import type { Kind } from "./kind.ts";
import { type Fields, fieldsOf, isSame, type StoredObject } from "./object.ts";

/**
 * TrainingRuns as the definition in crds/ has them. Its rules about one object are judged by their twins in
 * operator/src/api; those about a change exist in CEL alone and are written here once more.
 */
export function trainingRunKind(definition: Fields): Kind {
  return customKind(definition, runTwins);
}

/** What the definition's rules mean. */
export const runTwins: RuleTwins = {
  broken: (run) => [...brokenByName(run), ...brokenBySpec(run)],
  changes: new Map([
    [
      "has(self.managedBy) == has(oldSelf.managedBy) && (!has(self.managedBy) || self.managedBy == oldSelf.managedBy)",
      (now, before) => now.managedBy === before.managedBy,
    ],
    [
      "has(self.volume) == has(oldSelf.volume) && (!has(self.volume) || self.volume == oldSelf.volume)",
      (now, before) => isSame(now.volume, before.volume),
    ],
    [
      "has(self.objectStore) == has(oldSelf.objectStore) && (!has(self.objectStore) || self.objectStore.bucket == oldSelf.objectStore.bucket)",
      (now, before) =>
        (now.objectStore === undefined) === (before.objectStore === undefined) &&
        fieldsOf(now.objectStore).bucket === fieldsOf(before.objectStore).bucket,
    ],
    [
      "!has(self.objectStore) || !has(oldSelf.objectStore) || (has(self.objectStore.prefix) == has(oldSelf.objectStore.prefix) && (!has(self.objectStore.prefix) || self.objectStore.prefix == oldSelf.objectStore.prefix))",
      (now, before) =>
        now.objectStore === undefined ||
        before.objectStore === undefined ||
        fieldsOf(now.objectStore).prefix === fieldsOf(before.objectStore).prefix,
    ],
  ]),
};

function brokenByName({ metadata }: StoredObject) {
  return nameRules.filter(({ holds }) => !holds({ metadata })).map(({ message }) => ({ message, path: [] }));
}

function brokenBySpec({ spec }: StoredObject) {
  const issues = TrainingRunSpec.safeParse(spec).error?.issues ?? [];
  return issues
    .filter(({ code }) => code === "custom")
    .map(({ message, path }) => ({ message, path: ["spec", ...path] }));
}
