import { expect, test } from "vitest";
import { z } from "zod";
import { TrainingRunStatus } from "../api/status.ts";
import { expendableFields, lostFields } from "./kept-fields.ts";

type Schema = Readonly<{
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: readonly Schema[];
  type?: string;
}>;

/** The fields below a schema that have no fields themselves, as `attempts.pods.uid`. */
function leaves(path: string, { properties, items }: Schema): readonly string[] {
  if (items !== undefined) return leaves(path, items);
  if (properties === undefined) return [path];
  return Object.entries(properties).flatMap(([name, each]) => leaves(path === "" ? name : `${path}.${name}`, each));
}

const all = leaves("", z.toJSONSchema(TrainingRunStatus) as Schema);
const isExpendable = (field: string) => expendableFields.some((each) => field === each || field.startsWith(`${each}.`));

// A field that is new must be put on one side: on this one, an older definition keeps runs from going on until it is replaced.
const decisive = [
  "startTime",
  "attempt",
  "fencedAttempt",
  "silence.attempt",
  "silence.since",
  "silence.nodes",
  "stop.attempt",
  "stop.cause",
  "stop.charge",
  "stop.time",
  "removalTime",
  "base.step",
  "base.digest",
  "base.sinceAttempt",
  "base.generation",
  "base.from",
  "attempts.number",
  "attempts.generation",
  "attempts.workers",
  "attempts.queue.group",
  "attempts.pods.uid",
  "attempts.pods.node",
  "attempts.pods.worker",
  "attempts.startTime",
  "attempts.endTime",
  "attempts.cause",
  "attempts.charge",
  "attempts.chargeDueTime",
  "attempts.suspectNode",
  "attempts.from",
  "attempts.source.uid",
  "attempts.source.step",
  "attempts.source.directory",
  "attempts.source.digest",
  "attempts.source.claim",
  "attempts.source.bucket",
  "attempts.source.prefix",
  "attempts.source.since",
  "attempts.opened",
  "attempts.resumedFrom.step",
  "attempts.resumedFrom.digest",
  "attempts.resumedFrom.tier",
  "attempts.firstStepTime",
  "attempts.lastStep",
  "attempts.lostSteps",
  "retry.failures",
  "retry.failuresLeft",
  "retry.disruptions",
  "retry.fruitless",
  "retry.verifiedStep",
  "retry.furthestStep",
  "retry.nextAttemptTime",
  "conditions.type",
  "conditions.status",
];

test("every field of the status either decides or is known to be expendable", () => {
  expect(all.filter((field) => !isExpendable(field)).toSorted()).toEqual(decisive.toSorted());
  expect(expendableFields.filter((field) => !all.some((each) => `${each}.`.startsWith(`${field}.`)))).toEqual([]);
});

const entry = { number: 1, generation: 1, pods: [{ uid: "p", worker: 0 }], startTime: "2026-01-01T00:00:00Z" };
const begun = { ...entry, queue: { name: "gpus" }, podHash: "h" };
const sent: TrainingRunStatus = { attempt: 1, state: "Running", attempts: [begun] };

test.each<[string, unknown, readonly string[]]>([
  ["nothing where all is kept", sent, []],
  ["nothing where the server has more", { ...sent, newer: 1, attempts: [{ ...begun, newer: 2 }] }, []],
  ["nothing where what only shows is missing", { attempt: 1, attempts: [entry] }, []],
  [
    "what is missing in an entry of a list",
    { attempt: 1, attempts: [{ ...entry, pods: [{ uid: "p" }] }] },
    ["attempts.pods.worker"],
  ],
  [
    "all that decides where nothing came back",
    undefined,
    [
      "attempt",
      "attempts.number",
      "attempts.generation",
      "attempts.pods.uid",
      "attempts.pods.worker",
      "attempts.startTime",
    ],
  ],
])("what an answer lacks of a status is %s", (_, kept, lost) => {
  expect(lostFields(sent, kept)).toEqual(lost);
});

test("a place in a queue that says nothing is no loss, and the group of a gang is one", () => {
  const placed = (queue: object) => ({ attempts: [{ ...entry, queue }] });
  expect(lostFields(placed({}), { attempts: [entry] })).toEqual([]);
  expect(lostFields(placed({ name: "gpus", group: "g" }), { attempts: [entry] })).toEqual(["attempts.queue.group"]);
});
