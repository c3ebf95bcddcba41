import { expect, test } from "vitest";
import type { AttemptEntry } from "../api/status.ts";
import { withStoredEntries } from "./stored-entries.ts";

const entry = (number: number, over: Partial<AttemptEntry> = {}): AttemptEntry => ({
  number,
  generation: 1,
  pods: [],
  startTime: "2026-01-01T00:00:00Z",
  ...over,
});

test("an entry that was not changed is sent as it is stored, with what only a newer version can read", () => {
  const unread = { ...entry(1), cause: "FromTheFuture", weather: "fine" };
  const read = { attempts: [entry(2), entry(1)] };
  const stored = { attempts: [{ ...entry(2), weather: "bad" }, unread] };
  const ended = entry(2, { endTime: "2026-01-02T00:00:00Z" });
  const decided = { attempt: 3, attempts: [entry(3), ended, entry(1)] };
  expect(withStoredEntries(decided, { read, stored })).toEqual({ attempt: 3, attempts: [entry(3), ended, unread] });
});

test("a run without a ledger gets its first entry", () => {
  const first = { attempt: 1, attempts: [entry(1)] };
  expect(withStoredEntries(first, { read: {}, stored: undefined })).toEqual(first);
});
