import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { appendRecord, appendRecordAfter, FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import type { RecordDraft } from "@trainingrun/checkpoint/log/record.ts";
import { StorageUnavailableError, type Store } from "@trainingrun/checkpoint/store/store.ts";
import type { Client } from "minio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resumedAt, runUid, save } from "../../checkpoint/test/fixture.ts";
import {
  contentsOf,
  copyOf,
  makeTemplate,
  mirror,
  newVolume,
  type RunTemplate,
  restoreAttempt,
} from "./mirrored-run.ts";
import { type FaultProxy, startFaultProxy } from "./proxy/fault-proxy.ts";
import type { LoggedRequest } from "./proxy/request-log.ts";
import { impatient, openRunStore } from "./run-store.ts";
import { type ObjectStore, startStore, storeKinds } from "./store.ts";
import { storeClient } from "./store-access.ts";

const writers = Array.from({ length: 20 }, (_, index) => index + 1);
/** Waits out whatever a test holds. */
const patient = { ...impatient, requestMs: 60_000 };
const poll = { timeout: 30_000, interval: 20 };

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "trainingrun-races-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe.each(storeKinds)("on %s", (kind) => {
  let server: ObjectStore;
  let client: Client;
  let known: RunTemplate | undefined;
  beforeAll(async () => {
    server = await startStore(kind, { directory: join(directory, kind) });
    client = storeClient(server.access);
  });
  afterAll(() => server?.stop());

  const newCopy = async () => {
    known ??= await makeTemplate(server.access, join(directory, `${kind}-template`));
    return copyOf(known, client);
  };
  const open = (prefix: string, { endpoint = server.access.endpoint, patience = impatient } = {}) =>
    openRunStore({ ...server.access, endpoint }, { runUid, prefix, patience });

  test("twenty writers that commit at once all do, each under a number of its own", async () => {
    const { prefix } = await newCopy();
    const before = await readLog(await open(prefix));
    const stores = await Promise.all(writers.map(() => open(prefix)));
    const outcomes = await Promise.all(stores.map((store, index) => appendRecord(store, commitOf(100 + index))));
    expect(outcomes.map(({ kind }) => kind)).toEqual(writers.map(() => "appended"));
    const numbers = outcomes.flatMap((outcome) => (outcome.kind === "appended" ? outcome.number : []));
    expect(numbers.toSorted((a, b) => a - b)).toEqual(writers.map((one) => before.state.last + one));
    const { state } = await readLog(await open(prefix));
    const steps = state.checkpoints.slice(before.state.checkpoints.length).map(({ step }) => step);
    expect(steps.toSorted((a, b) => a - b)).toEqual(writers.map((one) => 99 + one));
    expect(state.damaged).toEqual([]);
  });

  test("of twenty pods that open one attempt at once a single one does, and the others are fenced", async () => {
    const { prefix } = await newCopy();
    const stores = await Promise.all(writers.map(() => open(prefix)));
    const outcomes = await Promise.all(
      stores.map((store, index) => openLog(store, { attempt: 2, podUid: `pod-${index}` })),
    );
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(["appended", ...writers.slice(1).map(() => "fenced")]);
    const { state } = await readLog(await open(prefix));
    const winner = outcomes.findIndex(({ kind }) => kind === "appended");
    expect(state.opened).toMatchObject({ attempt: 2, podUid: `pod-${winner}` });
  });

  test("of twenty attempts that open at once the highest holds the log in the end", async () => {
    const { prefix } = await newCopy();
    const before = await readLog(await open(prefix));
    const stores = await Promise.all(writers.map(() => open(prefix)));
    const outcomes = await Promise.all(
      stores.map((store, index) => openLog(store, { attempt: index + 2, podUid: `pod-${index}` })),
    );
    const won = outcomes.filter(({ kind }) => kind === "appended").length;
    const { state } = await readLog(await open(prefix));
    expect(state).toMatchObject({ opened: { attempt: 21 }, last: before.state.last + won });
  });

  /** Attempt 1 mirrors step 30 over a network that holds its nth request of a kind until attempt 2 has gone on. */
  async function staleMirror(hold: (proxy: FaultProxy) => { isStuck: () => boolean; release: () => void }) {
    const { volume, prefix } = await newCopy();
    await using proxy = await startFaultProxy({ target: server.access.endpoint });
    const stale = await open(prefix, { endpoint: proxy.endpoint, patience: patient });
    const { isStuck, release } = hold(proxy);
    const upload = mirror({ from: volume, to: stale, attempt: 1 }, 30).then(
      () => "Committed",
      (error: unknown) => {
        if (error instanceof FencedError) return "Fenced";
        // The next attempt's restore has removed what was put and not committed, and the upload noticed.
        if (error instanceof StorageUnavailableError && error.message.startsWith("Cannot publish")) return "Swept";
        throw error;
      },
    );
    await expect.poll(isStuck, poll).toBe(true);
    const objectStore = await open(prefix);
    const next = await newVolume();
    const base = resumedAt(await restoreAttempt(next, { attempt: 2, objectStore }));
    await save(next, 2, 35);
    await mirror({ from: next, to: objectStore, attempt: 2 }, 35);
    release();
    const outcome = await upload;
    await proxy.settled();
    const contents = await contentsOf(await open(prefix));
    const third = resumedAt(await restoreAttempt(await newVolume(), { attempt: 3, objectStore: await open(prefix) }));
    return { base, outcome, contents, third };
  }

  async function countWrites(): Promise<number> {
    const { volume, prefix } = await newCopy();
    await using proxy = await startFaultProxy({ target: server.access.endpoint });
    const store = await open(prefix, { endpoint: proxy.endpoint });
    const opened = proxy.log.length;
    await mirror({ from: volume, to: store, attempt: 1 }, 30);
    return proxy.log.slice(opened).filter(({ operation }) => operation === "PutObject").length;
  }

  test("an attempt that was held at any of its writes is fenced by the next one, and nothing of it counts", async () => {
    const writes = await countWrites();
    const seen = new Map<string, number>();
    for (let nth = 1; nth <= writes; nth += 1) {
      for (const what of ["Request", "Reply"] as const) {
        const played = await staleMirror((proxy) => {
          const rule = proxy.add({ fault: { kind: "Hold", what }, operation: "PutObject", nth });
          const isHeld = (one: LoggedRequest) => what === "Request" || one.storeStatus !== undefined;
          const isStuck = () => proxy.log.some((one) => one.fault === "Hold" && isHeld(one));
          return { isStuck, release: () => rule.remove() };
        });
        const { base, outcome, contents, third } = played;
        expect(["Fenced", "Swept"]).toContain(outcome);
        // Its commit is the last of its writes: held before the store had it, it never counts; after, it was there in time.
        expect(base).toBe(nth === writes && what === "Reply" ? 30 : 20);
        expect({ nth, what, contents }).toMatchObject({
          contents: { opened: { attempt: 2, base }, damaged: [], broken: [], records: expect.any(Number) },
        });
        expect(contents.committed.includes(30)).toBe(base === 30);
        expect(third).toBe(35);
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
      }
    }
    expect(seen.get("Fenced")).toBeGreaterThanOrEqual(2);
  });

  test("an attempt whose whole network was frozen is fenced when it thaws", async () => {
    const { outcome, base, third, contents } = await staleMirror((proxy) => {
      proxy.freeze();
      return { isStuck: () => proxy.log.some(({ isOver }) => !isOver), release: () => proxy.thaw() };
    });
    expect({ outcome, base, third, broken: contents.broken }).toEqual({
      outcome: "Fenced",
      base: 20,
      third: 35,
      broken: [],
    });
  });

  test("twenty stale writers that thaw at once append nothing", async () => {
    const { prefix } = await newCopy();
    await using proxy = await startFaultProxy({ target: server.access.endpoint });
    const stores = await Promise.all(writers.map(() => open(prefix, { endpoint: proxy.endpoint, patience: patient })));
    // All of them have looked at the log and are about to create its next number.
    const rule = proxy.add({ fault: { kind: "Hold", what: "Request" }, operation: "PutObject" });
    const appends = stores.map((store, index) => appendRecord(store, commitOf(100 + index)));
    await expect.poll(() => proxy.log.filter((one) => one.fault === "Hold").length, poll).toBe(writers.length);
    const objectStore = await open(prefix);
    expect(resumedAt(await restoreAttempt(await newVolume(), { attempt: 2, objectStore }))).toBe(20);
    const opened = await readLog(objectStore);
    rule.remove();
    const outcomes = await Promise.all(appends);
    expect(outcomes.map(({ kind }) => kind)).toEqual(writers.map(() => "fenced"));
    expect((await readLog(await open(prefix))).state).toEqual(opened.state);
  });

  test("a store that ignores conditions is found out, and one writer at a time still keeps a whole log there", async () => {
    const { volume, prefix } = await newCopy();
    await using proxy = await startFaultProxy({ target: server.access.endpoint, credentials: server.access });
    proxy.add({ fault: { kind: "IgnoreConditions" }, operation: "PutObject" });
    const ignorant = await open(prefix, { endpoint: proxy.endpoint });
    expect([ignorant.fences, (await open(prefix)).fences]).toEqual([false, true]);
    await mirror({ from: volume, to: ignorant, attempt: 1 }, 30);
    expect(resumedAt(await restoreAttempt(await newVolume(), { attempt: 2, objectStore: ignorant }))).toBe(30);
    expect(await contentsOf(ignorant)).toMatchObject({
      opened: { attempt: 2, base: 30 },
      whole: [5, 10, 20, 30],
      broken: [],
      damaged: [],
    });
    // A number that is taken stays with who has it.
    const number = (await readLog(ignorant)).state.last;
    expect(await ignorant.createRecord(number, Buffer.from("{}"))).toBe("taken");
    expect((await readLog(await open(prefix))).state.damaged).toEqual([]);
  });

  test("in a store that ignores conditions, who was overwritten while it put its record hears that it lost", async () => {
    const { prefix } = await newCopy();
    await using proxy = await startFaultProxy({ target: server.access.endpoint, credentials: server.access });
    proxy.add({ fault: { kind: "IgnoreConditions" }, operation: "PutObject", key: /probe$/ });
    const [first, second] = await Promise.all(
      [0, 1].map(() => open(prefix, { endpoint: proxy.endpoint, patience: patient })),
    );
    if (first === undefined || second === undefined) return expect.fail();
    const number = (await readLog(first)).state.last + 1;
    const held = proxy.add({ fault: { kind: "Hold", what: "Reply" }, operation: "PutObject", key: /log/, nth: 1 });
    const early = first.createRecord(number, Buffer.from("early"));
    await expect.poll(async () => (await first.readRecord(number, 100)) !== null, poll).toBe(true);
    await storeClient(server.access).putObject(
      server.access.bucket,
      `${prefix}/${runUid}/log/${String(number).padStart(12, "0")}.json`,
      "later",
    );
    held.remove();
    expect(await early).toBe("taken");
    expect(await second.createRecord(number, Buffer.from("last"))).toBe("taken");
  });
});

function commitOf(step: number): RecordDraft {
  return {
    kind: "commit",
    attempt: 1,
    step,
    manifest: `blake3:${randomUUID().replaceAll("-", "").padEnd(64, "0")}`,
    directory: `step-${String(step).padStart(12, "0")}-a0001`,
    bytes: 1,
    metrics: [],
    unhealthy: false,
  };
}

/** Opens the log as a restore does: it chooses again whenever the log has moved. */
async function openLog(store: Store, { attempt, podUid }: { attempt: number; podUid: string }) {
  const draft = { kind: "open", attempt, podUid, node: "node-a", base: null, generation: 1 } as const;
  for (;;) {
    const { state } = await readLog(store);
    const outcome = await appendRecordAfter(store, draft, { after: state.last });
    if (outcome.kind !== "moved") return outcome;
  }
}
