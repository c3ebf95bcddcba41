import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { describe, expect, test } from "vitest";
import type { PodPlace } from "./place.ts";
import { leaveRecord, recordLine } from "./trainer-record.ts";

const digest = `blake3:${"a".repeat(64)}`;
const metrics = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ name: `metric-${index}-${"x".repeat(40)}`, value: "0.123456789" }));

const records: [string, TrainerRecord][] = [
  ["done", { kind: "done", attempt: 3, step: 5000, checkpoint: digest, weights: digest, metrics: metrics(32) }],
  [
    "preempted",
    { kind: "preempted", attempt: 3, step: 41, finalCheckpoint: "Saved", checkpoint: digest, graceUsedSeconds: 1.5 },
  ],
  ["incompatible", { kind: "incompatible", attempt: 3, checkpoint: digest, message: "\u20ac".repeat(700) }],
  ["incompatible, of many words", { kind: "incompatible", attempt: 3, checkpoint: digest, message: "m".repeat(800) }],
];

describe("the last word of a trainer", () => {
  test.each(records)("of kind %s is one line of at most 1 KiB that the operator can parse", (_, record) => {
    const line = recordLine(record);
    expect(line).not.toContain("\n");
    expect(Buffer.byteLength(line)).toBeLessThanOrEqual(1024);
    const parsed = TrainerRecord.parse(JSON.parse(line));
    expect({ ...parsed, metrics: [], message: "" }).toEqual({ ...record, metrics: [], message: "" });
  });

  test.each([
    ["done", "done"],
    ["preempted", "preempted"],
  ] as const)("of kind %s is left for the kubelet and for the agent", (kind, file) => {
    const directory = mkdtempSync(join(tmpdir(), "record-"));
    const place = podPlace(directory);
    const record = records.find(([name]) => name === kind)?.[1];
    if (record === undefined) throw new Error("no such record");
    leaveRecord(place, record);
    expect(readFileSync(place.terminationLog, "utf8")).toBe(recordLine(record));
    expect(readFileSync(join(place.control, file), "utf8")).toBe(`${recordLine(record)}\n`);
  });

  test("reaches the one place where the other cannot be written", () => {
    const [, record] = records[1] ?? [];
    if (record === undefined) throw new Error("no such record");
    const place = podPlace(mkdtempSync(join(tmpdir(), "record-")));
    writeFileSync(place.control, "no directory");
    leaveRecord(place, record);
    expect(readFileSync(place.terminationLog, "utf8")).toBe(recordLine(record));
    const other = podPlace(mkdtempSync(join(tmpdir(), "record-")));
    mkdirSync(other.terminationLog);
    leaveRecord(other, record);
    expect(readFileSync(join(other.control, "preempted"), "utf8")).toBe(`${recordLine(record)}\n`);
  });
});

function podPlace(directory: string): PodPlace {
  return {
    kind: "pod",
    runUid: "uid",
    attempt: 3,
    worker: 0,
    checkpoints: directory,
    volume: "Durable",
    control: join(directory, "control"),
    terminationLog: join(directory, "termination-log"),
    interval: { steps: 10 },
    graceSeconds: 30,
  };
}
