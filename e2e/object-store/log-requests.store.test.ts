import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finishRun } from "@trainingrun/checkpoint/finish.ts";
import { appendRecord } from "@trainingrun/checkpoint/log/append.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { prune } from "@trainingrun/checkpoint/prune.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { StorageUnavailableError } from "@trainingrun/checkpoint/store/store.ts";
import type { Client } from "minio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runUid } from "../../checkpoint/test/fixture.ts";
import {
  contentsOf,
  copyOf,
  makeTemplate,
  mirror,
  newVolume,
  type RunCopy,
  type RunTemplate,
  refOf,
  restoreAttempt,
} from "./mirrored-run.ts";
import type { Fault } from "./proxy/fault.ts";
import { startFaultProxy } from "./proxy/fault-proxy.ts";
import type { Operation } from "./proxy/s3-request.ts";
import { impatient, openRunStore } from "./run-store.ts";
import { type ObjectStore, startStore, storeKinds } from "./store.ts";
import { storeClient } from "./store-access.ts";

/** Everything that writes to an object store's log, as the program that does it would: again, after it was killed. */
const works: Readonly<Record<string, (objectStore: Store, run: RunCopy) => Promise<unknown>>> = {
  "an open on the newest checkpoint": async (objectStore, { volume }) =>
    resumed(await restoreAttempt(volume, { attempt: 2, objectStore })),
  "an open on a downloaded checkpoint": async (objectStore) =>
    resumed(await restoreAttempt(await newVolume(), { attempt: 2, objectStore })),
  "a commit": (objectStore, { volume }) => mirror({ from: volume, to: objectStore, attempt: 1 }, 30),
  "a refusal": async (objectStore) => {
    const { digest } = await refOf(objectStore, 20);
    const draft = {
      kind: "refuse",
      attempt: 1,
      manifest: digest,
      reason: "BytesDiffer",
      message: "",
      node: "n",
    } as const;
    return appendRecord(objectStore, draft);
  },
  "a deletion": async (objectStore) => {
    const verified = (await readLog(objectStore)).state.checkpoints.map(({ digest }) => digest);
    const policy = { last: 1, best: null, everySteps: null, maxBytes: null };
    return prune(objectStore, { attempt: 1, policy, verified, recorded: [], now: new Date().toISOString() });
  },
  "an end": async (objectStore) =>
    finishRun(objectStore, { attempt: 1, manifest: (await refOf(objectStore, 20)).digest }),
};

/** A restore says that storage failed instead of throwing it. */
function resumed(outcome: Awaited<ReturnType<typeof restoreAttempt>>): void {
  if (outcome.kind === "restored") return;
  if (outcome.failure === "StorageUnavailable") throw new StorageUnavailableError(outcome.message);
  throw new Error(outcome.message);
}

/** Nothing hangs here, and a request that was slow for once would be counted, or killed, as if it had met a mishap. */
const patient = { ...impatient, requestMs: 60_000 };
const once = { ...patient, tries: 1 };

const writes: readonly Operation[] = ["PutObject", "DeleteObjects"];

/** What befalls one request, which requests in turn, and whether whoever sent it tries again or dies of it. */
const mishaps = {
  "loses its reply, and is sent again": { fault: { kind: "LoseReply" }, of: writes, patience: patient },
  "loses its reply, and whose process dies": { fault: { kind: "LoseReply" }, of: writes, patience: once },
  "arrives when its process has died and the next one is done": {
    fault: { kind: "ArriveLate" },
    of: writes,
    patience: once,
  },
  "fails, and whose process dies": { fault: { kind: "Answer", code: "InternalError" }, of: null, patience: once },
} satisfies Record<string, { fault: Fault; of: readonly Operation[] | null; patience: typeof once }>;

type Case = Readonly<{ fault: Fault; operation?: Operation; nth: number; patience: typeof once }>;

/** So many cases at a time. */
const lanes = 4;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "trainingrun-log-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe.each(storeKinds)("on %s", (kind) => {
  let server: ObjectStore;
  let client: Client;
  let template: RunTemplate;
  beforeAll(async () => {
    server = await startStore(kind, { directory: join(directory, kind) });
    client = storeClient(server.access);
  });
  afterAll(() => server?.stop());

  const templateOf = async () => {
    template ??= await makeTemplate(server.access, join(directory, `${kind}-template`));
    return template;
  };

  /** Does the work with this mishap, again where it died of it, and says what a reader finds then. */
  async function play(name: string, { patience, ...mishap }: Case) {
    const work = works[name] ?? expect.fail();
    const run = await copyOf(await templateOf(), client);
    await using proxy = await startFaultProxy({ target: server.access.endpoint });
    const open = (endpoint: string, how: typeof once) =>
      openRunStore({ ...server.access, endpoint }, { runUid, prefix: run.prefix, patience: how });
    const through = await open(proxy.endpoint, patience);
    const opened = proxy.log.length;
    const rule = proxy.add(mishap);
    const died = await work(through, run).then(
      () => false,
      (error: unknown) => {
        if (error instanceof StorageUnavailableError) return true;
        throw error;
      },
    );
    const reader = await open(server.access.endpoint, patient);
    const between = died ? await contentsOf(reader) : null;
    if (died) await work(reader, run);
    // What the network has kept until now arrives last.
    rule.remove();
    await proxy.settled();
    const contents = await contentsOf(await open(server.access.endpoint, patient));
    return { hits: rule.hits, died, between, contents, requests: proxy.log.slice(opened) };
  }

  describe.each(Object.keys(works))("%s", (name) => {
    type Contents = Awaited<ReturnType<typeof contentsOf>>;
    let known: { clean: Awaited<ReturnType<typeof play>>; before: Contents } | undefined;
    /** What there is without any mishap, and before the work. */
    const knownOf = async () => {
      const { prefix } = await copyOf(await templateOf(), client);
      known ??= {
        clean: await play(name, { fault: { kind: "Reset" }, nth: 1_000, patience: patient }),
        before: await contentsOf(await openRunStore(server.access, { runUid, prefix })),
      };
      return known;
    };

    test.each(Object.entries(mishaps))("ends the same whichever of its requests %s", async (happening, mishap) => {
      const { clean, before } = await knownOf();
      const counted = (operation: Operation) => clean.requests.filter((one) => one.operation === operation).length;
      const { fault, patience } = mishap;
      const cases: Case[] =
        mishap.of === null
          ? clean.requests.map((_, index) => ({ fault, patience, nth: index + 1 }))
          : mishap.of.flatMap((operation) =>
              Array.from({ length: counted(operation) }, (_, index) => ({
                fault,
                patience,
                operation,
                nth: index + 1,
              })),
            );
      const left = cases.values();
      let [gotOver, repeated] = [0, 0];
      const lane = async () => {
        for (const one of left) {
          const { hits, died, between, contents } = await play(name, one);
          expect({ one, hits, contents }).toEqual({ one, hits: 1, contents: clean.contents });
          if (died) repeated += 1;
          else gotOver += 1;
          if (between === null) continue;
          // Whoever looks after the death finds whole checkpoints alone, and a log from before or after.
          expect(between).toMatchObject({ broken: [], damaged: [] });
          expect([before.records, clean.contents.records]).toContain(between.records);
        }
      };
      await Promise.all(Array.from({ length: lanes }, lane));
      console.log(
        `${kind}, ${name}, a request ${happening}: ${gotOver} of ${cases.length} got over, ${repeated} repeated`,
      );
      expect(gotOver + repeated).toBe(cases.length);
      expect(cases.length).toBeGreaterThanOrEqual(1);
      expect(clean.contents).not.toEqual(before);
    });
  });
});
