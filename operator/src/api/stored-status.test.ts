import { describe, expect, test } from "vitest";
import { type Fields, storedRun } from "../../test/run-builder.ts";
import { readDeletedRun } from "./deleted-run.ts";
import { parseTrainingRun } from "./training-run.ts";

const time = "2026-01-01T00:00:00Z";
const digest = `sha256:${"a".repeat(64)}`;
const checkpoint = { step: 7, attempt: 1, digest, bytes: 1, time, tiers: ["Volume"], metrics: [] };
const open = { number: 2, generation: 1, pods: [], startTime: time };
const closed = { ...open, number: 1, endTime: time, cause: "Crashed", charge: "Failure" };
const condition = { type: "Progressing", status: "False", lastTransitionTime: time, reason: "Backoff", message: "" };
const newer = "FromTheFuture";

function read(status: Fields) {
  const parsed = parseTrainingRun(storedRun({ status }));
  return parsed.kind === "Run" ? { status: parsed.run.status, leftOut: parsed.leftOut } : parsed.message;
}

describe("a status that another version wrote", () => {
  const readable: readonly [title: string, stored: Fields, status: Fields, leftOut: string[]][] = [
    ["an unknown field", { attempt: 1, weather: "fine" }, { attempt: 1 }, []],
    ["an unknown state", { attempt: 1, state: newer }, { attempt: 1 }, ["status.state"]],
    [
      "an unknown cause in the ledger",
      { attempts: [open, { ...closed, cause: newer }] },
      { attempts: [open, { ...open, number: 1, endTime: time, charge: "Failure" }] },
      ["status.attempts.1.cause"],
    ],
    [
      "an unknown tier of a checkpoint",
      { latestVerified: { ...checkpoint, tiers: ["Volume", newer] }, checkpoints: [{ ...checkpoint, tiers: [newer] }] },
      { latestVerified: checkpoint, checkpoints: [{ ...checkpoint, tiers: [] }] },
      ["status.latestVerified.tiers.1", "status.checkpoints.0.tiers.0"],
    ],
    [
      "a checkpoint named by another algorithm",
      { checkpoints: [{ ...checkpoint, digest: "sha3:0" }, checkpoint] },
      { checkpoints: [checkpoint] },
      ["status.checkpoints.0"],
    ],
    [
      "a stop for an unknown cause",
      { attempt: 2, stop: { attempt: 2, cause: newer, time } },
      { attempt: 2 },
      ["status.stop"],
    ],
    ["a budget that lacks a field", { attempt: 2, retry: { failures: 1 } }, { attempt: 2 }, ["status.retry"]],
    [
      "an unknown status of a condition",
      {
        conditions: [
          { ...condition, status: newer },
          { ...condition, type: "Suspended" },
        ],
      },
      { conditions: [{ ...condition, type: "Suspended" }] },
      ["status.conditions.0"],
    ],
    [
      "a ledger that is longer than ours",
      { attempts: Array.from({ length: 22 }, (_, index) => ({ ...closed, number: 22 - index })) },
      { attempts: Array.from({ length: 20 }, (_, index) => ({ ...closed, number: 22 - index })) },
      ["status.attempts.20"],
    ],
  ];
  test.each(readable)("is read without %s", (_, stored, status, leftOut) => {
    expect(read(stored)).toEqual({ status, leftOut });
  });

  const unreadable: readonly [title: string, stored: Fields, path: string][] = [
    ["the number given out last", { attempt: "two" }, "status.attempt"],
    [
      "what the newest attempt is known by",
      { attempts: [{ ...open, startTime: "yesterday" }] },
      "attempts.0.startTime",
    ],
    ["the end of the newest attempt", { attempts: [{ ...closed, endTime: "today" }] }, "attempts.0.endTime"],
    ["the base of the lineage", { base: { sinceAttempt: 1, generation: 1, digest: "sha3:0" } }, "status.base.digest"],
    [
      "what tells a lost volume",
      { latestVerified: { ...checkpoint, digest: "sha3:0" } },
      "status.latestVerified.digest",
    ],
    ["that the run is over", { conditions: [{ ...condition, type: "Failed", status: newer }] }, "conditions.0.status"],
    ["a status that is none", [] as unknown as Fields, "status"],
  ];
  test.each(unreadable)("is not acted on without %s", (_, stored, path) => {
    expect(read(stored)).toContain(path);
  });
});

describe("a deleted run that cannot be read", () => {
  const deletionTimestamp = "2026-01-02T00:00:00Z";
  const finalizers = ["trainingrun.dev/final-save"];
  const metadata = { deletionTimestamp, finalizers };

  test("is not let go where nobody deleted it", () => {
    expect(readDeletedRun(storedRun({ spec: { workers: "many" } }))).toBeNull();
  });

  test("stands for the least where its spec is unreadable, and keeps its ledger", () => {
    const stored = storedRun({
      metadata,
      spec: { workers: "many", deletionPolicy: "Delete", managedBy: "example.com/other" },
      status: { attempt: 2, attempts: [open] },
    });
    const deleted = readDeletedRun(stored);
    expect(deleted).toMatchObject({ statusIsRead: true, run: { status: { attempt: 2, attempts: [open] } } });
    expect(deleted?.run.metadata).toMatchObject(metadata);
    expect(deleted?.run.spec).toMatchObject({ deletionPolicy: "Retain", managedBy: "example.com/other" });
    expect(deleted?.run.spec.checkpoint.volume).toBeUndefined();
  });

  test("keeps what its spec says but for the data where its status is unreadable", () => {
    const stored = storedRun({
      metadata,
      spec: { deletionPolicy: "Delete", suspend: true },
      status: { attempt: "two" },
    });
    const deleted = readDeletedRun(stored);
    expect(deleted).toMatchObject({ statusIsRead: false, run: { status: {} } });
    expect(deleted?.run.spec).toMatchObject({ deletionPolicy: "Retain", suspend: true });
  });
});
