import { describe, expect, test } from "vitest";
import type { TrainingRunStatus } from "../api/status.ts";
import { DroppedFields, fieldOf, hasField, lostFields, withoutFields } from "./kept-fields.ts";

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

test.each<[readonly string[], unknown]>([
  [[], sent],
  [["state", "attempts.queue"], { attempt: 1, attempts: [{ ...entry, podHash: "h" }] }],
  [["attempts.pods.worker"], { ...sent, attempts: [{ ...begun, pods: [{ uid: "p" }] }] }],
  [["attempts.pods.worker.more", "absent"], sent],
])("a status without %j", (fields, expected) => {
  expect(withoutFields(sent, fields)).toEqual(expected);
});

test.each<[string, boolean]>([
  ["state", true],
  ["attempts", true],
  ["attempts.queue.name", true],
  ["attempts.queue.group", false],
  ["attempts.pods.worker", true],
  ["attempts.pods.worker.more", false],
  ["stop", false],
])("a status has %s: %s", (field, expected) => {
  expect(hasField({ ...sent, attempts: [{ ...entry, pods: [] }, begun] }, field)).toBe(expected);
});

test("a path of a server is read as the field that it is of", () => {
  expect(["status.attempts[0].pods[12].worker", "status.stop", "spec.stop"].map(fieldOf)).toEqual([
    "attempts.pods.worker",
    "stop",
    "spec.stop",
  ]);
});

describe("what the definition lacked lately", () => {
  test("is known for a minute", () => {
    let now = 0;
    const dropped = new DroppedFields(() => now);
    expect(dropped.unknownTo({})).toEqual([]);
    dropped.note(["stop", "attempts.podHash"]);
    now = 59_999;
    expect(dropped.unknownTo({})).toEqual(["stop", "attempts.podHash"]);
    now = 60_000;
    expect(dropped.unknownTo({})).toEqual([]);
  });

  test("is known by now where a server shows it", () => {
    const dropped = new DroppedFields(() => 0);
    dropped.note(["stop", "attempts.podHash"]);
    expect(dropped.unknownTo(sent)).toEqual(["stop"]);
  });
});
