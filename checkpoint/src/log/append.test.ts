import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryStore } from "../../test/fixture.ts";
import { digestOf } from "../../test/log-builder.ts";
import { directoryName } from "../directory-name.ts";
import { DirectoryStore } from "../store/directory-store.ts";
import type { Store } from "../store/store.ts";
import { appendRecord, appendRecordAfter } from "./append.ts";
import { compactLog, renewOpen } from "./compact.ts";
import { readLog } from "./read.ts";
import { type OpenDraft, parseRecord, type RecordDraft } from "./record.ts";

function commit(attempt: number, step: number): RecordDraft {
  const place = { manifest: digestOf(step, attempt), directory: directoryName(step, attempt) };
  return { kind: "commit", attempt, step, ...place, bytes: 1, metrics: [], unhealthy: false };
}

function open(attempt: number, podUid = `pod-${attempt}`): OpenDraft {
  return { kind: "open", attempt, podUid, node: "n", base: null, generation: 1 };
}

async function openAs(store: Store, attempt: number, podUid?: string) {
  const { state } = await readLog(store);
  return appendRecordAfter(store, open(attempt, podUid), { after: state.last });
}

describe("appending to the log", () => {
  test("gives 20 racing tasks 20 numbers, and each record one of them", async () => {
    const store = await temporaryStore();
    await openAs(store, 1);
    const tasks = Array.from({ length: 20 }, async (_, index) => {
      const own = new DirectoryStore(store.root, store.runUid);
      return appendRecord(own, commit(1, index + 1));
    });
    const outcomes = await Promise.all(tasks);
    const numbers = outcomes.map((outcome) => (outcome.kind === "appended" ? outcome.number : outcome.kind));
    expect(numbers.toSorted()).toEqual(Array.from({ length: 20 }, (_, index) => index + 2).toSorted());
    expect((await readLog(new DirectoryStore(store.root, store.runUid))).state.checkpoints).toHaveLength(20);
  });

  test("lets exactly one of 20 pods open an attempt, racing in 4 processes (I1)", async () => {
    const store = await temporaryStore();
    const script = join(import.meta.dirname, "../../test/processes/open-once.ts");
    const outputs = await Promise.all(
      Array.from({ length: 4 }, async (_, index) => {
        const child = spawn(process.execPath, [script, store.root, store.runUid, `process-${index}`, "5"], {
          stdio: "pipe",
        });
        const pieces: Buffer[] = [];
        child.stdout.on("data", (piece: Buffer) => pieces.push(piece));
        await once(child, "close");
        return Buffer.concat(pieces).toString().trim().split("\n");
      }),
    );
    expect(outputs.flat().toSorted()).toEqual(["appended", ...Array.from({ length: 19 }, () => "fenced")]);
    expect(await store.recordNumbers()).toEqual([1]);
  });

  test("counts a lost reply as success, not as another's record", async () => {
    const store = await temporaryStore();
    await openAs(store, 1);
    const create = store.createRecord.bind(store);
    store.createRecord = async (number, bytes) => {
      await create(number, bytes);
      return "taken";
    };
    expect(await appendRecord(store, commit(1, 10))).toMatchObject({ kind: "appended", number: 2 });
    expect(await store.recordNumbers()).toEqual([1, 2]);
  });

  test("stops for good when it loses its number to a higher attempt's open", async () => {
    const store = await temporaryStore();
    await openAs(store, 1);
    const create = store.createRecord.bind(store);
    store.createRecord = async (number, bytes) => {
      store.createRecord = create;
      await openAs(new DirectoryStore(store.root, store.runUid), 2);
      return create(number, bytes);
    };
    expect(await appendRecord(store, commit(1, 10))).toMatchObject({
      kind: "fenced",
      by: { attempt: 2, podUid: "pod-2", number: 2 },
      message: "Cannot append a commit record of attempt 1 because attempt 2 has opened the log",
    });
    expect(await store.recordNumbers()).toEqual([1, 2]);
  });

  test("takes the next number when it loses one to a record that changes nothing for it", async () => {
    const store = await temporaryStore();
    await openAs(store, 1);
    const create = store.createRecord.bind(store);
    store.createRecord = async (number, bytes) => {
      store.createRecord = create;
      await appendRecord(new DirectoryStore(store.root, store.runUid), commit(1, 5));
      return create(number, bytes);
    };
    expect(await appendRecord(store, commit(1, 10))).toMatchObject({ kind: "appended", number: 3 });
  });

  test("does not act on a decision that the log has overtaken", async () => {
    const store = await temporaryStore();
    await openAs(store, 1);
    await appendRecord(store, commit(1, 10));
    const late = await appendRecordAfter(store, open(2), { after: 1 });
    expect(late).toMatchObject({ kind: "moved", state: { last: 2 } });
  });

  test("finds out that it slept through a pruning, although its number was free again", async () => {
    const store = await temporaryStore();
    await openAs(store, 1);
    const create = store.createRecord.bind(store);
    store.createRecord = async (number, bytes) => {
      store.createRecord = create;
      // It sleeps here: attempts 2 to 4 come, and the log is pruned up to the last open but one.
      const other = new DirectoryStore(store.root, store.runUid);
      for (const attempt of [2, 3, 4]) await openAs(other, attempt);
      expect(await compactLog(other)).toBe(2);
      return create(number, bytes);
    };
    expect(await appendRecord(store, commit(1, 10))).toMatchObject({ kind: "fenced", by: { attempt: 4 } });
    // Its record lies below the newest open, where no reader looks.
    expect(await store.recordNumbers()).toEqual([2, 3, 4]);
    const { state } = await readLog(new DirectoryStore(store.root, store.runUid));
    expect(state.checkpoints).toEqual([]);
    expect(state.opened?.attempt).toBe(4);
  });

  const renewals = [
    { what: "carried by it", order: ["create", "renew"], outcome: /^appended$/ },
    {
      what: "below it unseen",
      order: ["renew", "create"],
      outcome: /^Cannot tell whether log record 3 of run .* stands/,
    },
  ];
  test.each(renewals)("tells a commit that a renewal of its own attempt buried, and is $what", async (row) => {
    const store = await temporaryStore();
    await openAs(store, 1);
    await appendRecord(store, commit(1, 5));
    const other = new DirectoryStore(store.root, store.runUid);
    const renew = async () => {
      for (let renewal = 0; renewal < 3; renewal += 1)
        await renewOpen(other, { attempt: 1, podUid: "pod-1", after: 0 });
      await compactLog(other);
    };
    const create = store.createRecord.bind(store);
    store.createRecord = async (number, bytes) => {
      if (row.order[0] === "renew") await renew();
      const created = await create(number, bytes);
      if (row.order[0] === "create") await renew();
      return created;
    };
    const said = appendRecord(store, commit(1, 10)).then(({ kind }) => kind, String);
    expect((await said).replace("StorageUnavailableError: ", "")).toMatch(row.outcome);
    const { state } = await readLog(new DirectoryStore(store.root, store.runUid));
    expect(state.checkpoints.map(({ step }) => step)).toEqual(row.order[0] === "create" ? [5, 10] : [5]);
  });

  test("refuses what would count for nothing, and says why", async () => {
    const store = await temporaryStore();
    const refused = async (draft: RecordDraft) => {
      const outcome = await appendRecord(store, draft);
      return outcome.kind === "void" ? outcome.message : outcome.kind;
    };
    expect(await refused(commit(1, 10))).toBe(
      "Cannot append a commit record of attempt 1 because no attempt has opened the log",
    );
    await openAs(store, 1);
    await appendRecord(store, commit(1, 10));
    expect(await refused(commit(2, 20))).toBe(
      "Cannot append a commit record of attempt 2 because attempt 2 is not open",
    );
    expect(await refused(commit(1, 10))).toContain("is committed already");
    expect(await refused({ kind: "done", attempt: 1, manifest: digestOf(9, 1) })).toContain(
      "is no checkpoint of this log",
    );
    expect(await store.recordNumbers()).toEqual([1, 2]);
  });

  test("leaves no temporary file behind, and records that the group may read", async () => {
    const store = await temporaryStore();
    await openAs(store, 1);
    expect(await readdir(join(store.root, "log"))).toEqual(["000000000001.json", "000000000001.open-a0001"]);
    expect((await stat(join(store.root, "log", "000000000001.json"))).mode & 0o777).toBe(0o640);
    expect((await stat(join(store.root, "log"))).mode & 0o7777).toBe(0o2770);
  });
});

describe("a record", () => {
  test("is damaged whichever single bit of it is flipped, and never read as another", async () => {
    const store = await temporaryStore();
    await openAs(store, 1);
    await appendRecord(store, commit(1, 10));
    const whole = await readFile(join(store.root, "log", "000000000002.json"));
    expect(parseRecord(2, whole)).toMatchObject({ record: { kind: "commit", step: 10 } });
    for (let bit = 0; bit < whole.byteLength * 8; bit += 1) {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(parseRecord(2, flipped), `bit ${bit}`).toMatchObject({ damaged: expect.any(String) });
    }
  });
});
