import {
  isAlreadyExists,
  isConflict,
  isExpired,
  isNotFound,
  NoAnswerError,
} from "@trainingrun/operator/kubernetes/api-error.ts";
import { ObjectCache } from "@trainingrun/operator/kubernetes/cache.ts";
import type { ApiClient } from "@trainingrun/operator/kubernetes/client.ts";
import { type KubeObject, keyOf } from "@trainingrun/operator/kubernetes/kube-object.ts";
import { Reflector } from "@trainingrun/operator/kubernetes/reflector.ts";
import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { createOrAdopt, removeExact, removeFinalizer } from "@trainingrun/operator/kubernetes/writes.ts";
import { beforeEach, describe, expect, test } from "vitest";
import type { ModelDispatcher, ModelDispatcherOptions } from "./dispatcher.ts";
import type { Fault, OpenWatch, Seen } from "./faults.ts";
import type { ModelApi } from "./model-api.ts";
import { type HandClock, modelClient, named, servedApi, team } from "./test/served-api.ts";

const configMaps = { group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", scope: "Namespaced" } as const;
const target = named(configMaps, "a");
const forever = { signal: new AbortController().signal };
let api: ModelApi;
let clock: HandClock;
let client: ApiClient;
let dispatcher: ModelDispatcher;
let due: { matches: (seen: Seen) => boolean; fault: Fault }[];
let seen: string[];

function connect(options: Partial<ModelDispatcherOptions> = {}) {
  const faults = {
    strike: (request: Seen) => {
      seen.push(request.method);
      const index = due.findIndex(({ matches }) => matches(request));
      return index < 0 ? undefined : due.splice(index, 1)[0]?.fault;
    },
  };
  return modelClient(api, clock, { faults, ...options });
}

beforeEach(() => {
  ({ api, clock } = servedApi());
  due = [];
  seen = [];
  ({ client, dispatcher } = connect());
});

function fail(method: string, ...faults: Fault[]): void {
  due.push(...faults.map((fault) => ({ fault, matches: (request: Seen) => request.method === method })));
}

function make(name = "a", metadata: object = {}): Promise<KubeObject> {
  return client.create({ resource: configMaps, namespace: team }, { metadata: { name, ...metadata } }, forever);
}

function caught(act: Promise<unknown>): Promise<unknown> {
  return act.then(
    () => "done",
    (error: unknown) => error,
  );
}

describe("the operator's client, over the model", () => {
  test("creates, reads, lists, patches and deletes", async () => {
    const made = await make("a", { labels: { x: "1" } });
    expect(await client.get(target, forever)).toEqual(made);
    const { items, metadata } = await client.list({ resource: configMaps, namespace: team }, { limit: "5" }, forever);
    const { apiVersion: _, kind: __, ...item } = made;
    expect([items, metadata]).toEqual([[item], { resourceVersion: made.metadata.resourceVersion }]);
    const patched = await client.mergePatch<KubeObject>(target, { metadata: { labels: { x: null, y: "2" } } }, forever);
    expect(patched.metadata.labels).toEqual({ y: "2" });
    const gone = await client.remove(target, { preconditions: { uid: made.metadata.uid } }, forever);
    expect(gone).toMatchObject({ kind: "Status", status: "Success", details: { name: "a", uid: made.metadata.uid } });
    expect(isNotFound(await caught(client.get(target, forever)))).toBe(true);
  });

  test("tells refusals apart", async () => {
    const { metadata } = await make("a", { finalizers: ["a/b", "c/d"] });
    expect(isAlreadyExists(await caught(make()))).toBe(true);
    const exact = { namespace: team, name: "a", uid: metadata.uid };
    const removal = { resource: configMaps, exact, finalizers: ["c/d"], finalizer: "c/d" };
    expect(isConflict(await caught(removeFinalizer(client, removal, forever)))).toBe(true);
    const old = removeExact(client, { resource: configMaps, exact, resourceVersion: "1" }, forever);
    expect(isConflict(await caught(old))).toBe(true);
    const other = { ...exact, uid: "other" };
    expect(await removeExact(client, { resource: configMaps, exact: other }, forever)).toBe("Absent");
  });

  const readFaults: readonly [string, Fault][] = [
    ["500", { kind: "Answer", code: 500 }],
    ["429, with a time to wait", { kind: "Answer", code: 429, headers: { "retry-after": "0" } }],
    ["a refused connection", { kind: "Refuse" }],
    ["a reset connection", { kind: "Reset" }],
    ["a lost answer", { kind: "LoseAnswer" }],
    ["half an answer", { kind: "HalfAnswer" }],
  ];
  test.each(readFaults)("repeats a read after %s", async (_, fault) => {
    await make();
    seen = [];
    fail("GET", fault, fault);
    expect((await client.get<KubeObject>(target, forever)).metadata.name).toBe("a");
    expect(seen).toEqual(["GET", "GET", "GET"]);
  });

  test.each<[string, Fault, number, boolean]>([
    ["500", { kind: "Answer", code: 500 }, 1, false],
    ["a reset connection", { kind: "Reset" }, 1, false],
    ["a lost answer", { kind: "LoseAnswer" }, 1, true],
    ["half an answer", { kind: "HalfAnswer" }, 1, true],
    ["a refused connection", { kind: "Refuse" }, 2, true],
  ])("sends a creation after %s so often that it cannot be done twice", async (_, fault, times, stands) => {
    fail("POST", fault);
    await caught(make());
    expect(seen).toEqual(Array(times).fill("POST"));
    expect(api.store.get(configMaps, `${team}/a`) !== undefined).toBe(stands);
  });

  test("finds its own creation after its answer was lost", async () => {
    fail("POST", { kind: "LoseAnswer" });
    const creation = { resource: configMaps, namespace: team, name: "a", object: { metadata: { name: "a" } } };
    const isOurs = () => true;
    expect(await caught(createOrAdopt(client, { ...creation, isOurs }, forever))).toBeInstanceOf(NoAnswerError);
    expect((await createOrAdopt<KubeObject>(client, { ...creation, isOurs }, forever)).metadata.name).toBe("a");
  });

  test("leaves a request that is never answered", async () => {
    fail("GET", { kind: "Stall" });
    const leaving = new AbortController();
    const asked = caught(client.get(target, { signal: leaving.signal }));
    leaving.abort(new Error("enough"));
    expect(String(await asked)).toContain("enough");
  });

  const given = { resource: configMaps, namespace: team };
  /** Gives up a request before it gets to the server, lets something happen, and lets it get there. */
  async function late(
    ask: (far: ApiClient, signal: AbortSignal) => Promise<unknown>,
    meanwhile: (far: ModelDispatcher) => void,
  ) {
    const waiting: (() => void)[] = [];
    const connection = connect({ toServer: (run) => void waiting.push(run) });
    const leaving = new AbortController();
    const asked = caught(ask(connection.client, leaving.signal));
    while (waiting.length === 0) await new Promise(setImmediate);
    leaving.abort(new Error("enough"));
    expect(String(await asked)).toContain("enough");
    meanwhile(connection.dispatcher);
    for (const run of waiting) run();
    return connection.dispatcher;
  }

  test("writes although it has given the write up, where that was on its way", async () => {
    const create = (far: ApiClient, signal: AbortSignal) => far.create(given, { metadata: { name: "a" } }, { signal });
    await late(create, () => undefined);
    expect(api.store.get(configMaps, `${team}/a`)?.object.metadata.name).toBe("a");
  });

  test("writes nothing that was on its way when the server's connections were cut", async () => {
    const create = (far: ApiClient, signal: AbortSignal) => far.create(given, { metadata: { name: "a" } }, { signal });
    await late(create, (far) => far.cut());
    expect(api.store.get(configMaps, `${team}/a`)).toBeUndefined();
  });

  test("holds no watch open that it has given up", async () => {
    const watch = (far: ApiClient, signal: AbortSignal) => far.watch(given, {}, { signal, openTimeoutMs: 1_000 });
    const far = await late(watch, () => undefined);
    expect([api.watches.count, far.watches().length]).toEqual([0, 0]);
  });

  test("reads its token again after a 401", async () => {
    let valid = "Bearer token";
    const { client: strict } = connect({ accepts: (authorization) => authorization === valid });
    await strict.list({ resource: configMaps, namespace: team }, {}, forever);
    valid = "Bearer other";
    expect(await caught(strict.list({ resource: configMaps, namespace: team }, {}, forever))).toMatchObject({
      status: 401,
    });
    valid = "Bearer token";
    await strict.list({ resource: configMaps, namespace: team }, {}, forever);
  });

  test("is shown an older state by a server that lags", async () => {
    const { metadata } = await make();
    await client.mergePatch(target, { metadata: { labels: { x: "1" } } }, forever);
    fail("GET", { kind: "Stale", version: Number(metadata.resourceVersion) });
    expect((await client.get<KubeObject>(target, forever)).metadata.labels).toBeUndefined();
    fail("GET", { kind: "Stale", version: Number(metadata.resourceVersion) - 1 });
    expect(isNotFound(await caught(client.get(target, forever)))).toBe(true);
  });

  test("is told in words what it may not do", async () => {
    const body = { metadata: { name: "p" }, spec: { containers: [{ name: "c" }] } };
    await client.create({ resource: pods, namespace: team }, body, forever);
    const gone = { ...named(pods, "p"), subresource: "unknown" };
    expect(await caught(client.get(gone, forever))).toMatchObject({ status: 404 });
    expect(await caught(client.create(named(pods, "p"), body, forever))).toMatchObject({ status: 405 });
    const nowhere = { group: "example.com", version: "v1", plural: "odds", kind: "Odd", scope: "Cluster" } as const;
    expect(await caught(client.list({ resource: nowhere }, {}, forever))).toMatchObject({ status: 404, reason: "" });
    const endless = "x".repeat(3 * 1024 * 1024);
    expect(await caught(make("big", { annotations: { endless } }))).toMatchObject({ status: 413 });
  });

  test("hears of a history that is gone within the watch", async () => {
    await make();
    api.store.compact();
    const query = { resourceVersion: "1000" };
    const body = await client.watch({ resource: configMaps, namespace: team }, query, {
      ...forever,
      openTimeoutMs: 1_000,
    });
    expect(await linesOf(body, 2)).toMatchObject([{ type: "ERROR", object: { code: 410, reason: "Expired" } }]);
  });

  test("hears lines in the order in which they were said, however long each takes", async () => {
    const waiting: (() => void)[] = [];
    const { client: far } = connect({ toClient: (run) => void waiting.push(run) });
    const leaving = new AbortController();
    const query = { resourceVersion: String(api.store.version) };
    const bound = { signal: leaving.signal, openTimeoutMs: 1_000 };
    const opened = far.watch({ resource: configMaps, namespace: team }, query, bound);
    while (waiting.length === 0) await new Promise(setImmediate);
    for (const run of waiting.splice(0)) run();
    const body = await opened;
    for (const name of ["a", "b", "c"]) await make(name);
    for (const run of waiting.splice(0).reverse()) run();
    const names = (await linesOf(body, 3)).map(({ object }) => object.metadata.name);
    expect(names).toEqual(["a", "b", "c"]);
    leaving.abort(new Error("enough"));
    expect([api.watches.count, dispatcher.watches().length]).toEqual([0, 0]);
  });
});

describe("the operator's reflector, over a model that fails", () => {
  const breaks: readonly [string, (watch: OpenWatch) => void][] = [
    ["ends the watch", (watch) => watch.end()],
    ["cuts the connection", (watch) => watch.reset()],
    ["ends within a line", (watch) => watch.truncate()],
    ["sends a line that is no JSON", (watch) => watch.garble()],
    ["says that its history is gone", (watch) => watch.expire()],
    ["says that it failed", (watch) => watch.say({ type: "ERROR", object: { kind: "Status", code: 500 } })],
    [
      "is restarted",
      () => {
        dispatcher.cut();
        api.restart();
      },
    ],
    [
      "is restarted with its history compacted",
      () => {
        dispatcher.cut();
        api.restart();
        api.store.compact();
      },
    ],
    ["lags", (watch) => watch.hold()],
  ];

  test.each(breaks)("misses nothing when the server %s", async (_, act) => {
    for (const name of ["a", "b"]) await make(name);
    const cache = new ObjectCache<KubeObject>();
    const stop = new AbortController();
    const reflector = new Reflector<KubeObject>({
      client,
      cache,
      resource: configMaps,
      namespace: team,
      trim: (object) => object,
      timing: { pageSize: 1, spacingMs: 1, livedMs: 0, backoff: { firstMs: 1, maxMs: 2 } },
      onError: () => undefined,
    });
    const running = reflector.run(stop.signal);
    const [watch] = await eventually(() => (dispatcher.watches().length > 0 ? dispatcher.watches() : undefined));
    if (watch === undefined) throw new Error("Cannot break a watch because none is open");
    act(watch);
    // What happens while nobody looks: an addition, a deletion, and a deletion with a new object under the name.
    await make("c");
    for (const name of ["a", "b"]) {
      const { uid } = api.get(named(configMaps, name)).object.metadata;
      await client.remove(named(configMaps, name), { preconditions: { uid } }, forever);
    }
    await make("b");
    watch.release();
    const shown = api.list({ resource: configMaps, namespace: team });
    const wanted = shown.revisions.map(({ object }) => `${keyOf(object)} ${object.metadata.uid}`);
    await eventually(() => {
      const cached = cache.all().map((object) => `${keyOf(object)} ${object.metadata.uid}`);
      return cached.join() === wanted.join() ? true : undefined;
    });
    stop.abort(new Error("the test is over"));
    await running;
    expect(api.watches.count).toBe(0);
  });
});

test("an old list cannot be gone on with once the history is compacted", async () => {
  for (const name of ["a", "b", "c"]) await make(name);
  const list = { resource: configMaps, namespace: team };
  const first = await client.list(list, { limit: "1" }, forever);
  await make("d");
  api.store.compact();
  const next = client.list(list, { limit: "1", continue: first.metadata.continue }, forever);
  expect(isExpired(await caught(next))).toBe(true);
});

/** The first lines of a watch, or all where it ends before. */
async function linesOf(
  body: AsyncIterable<Uint8Array>,
  count: number,
): Promise<{ type: string; object: KubeObject }[]> {
  const lines: { type: string; object: KubeObject }[] = [];
  for await (const chunk of body) {
    for (const line of Buffer.from(chunk).toString("utf8").split("\n")) if (line !== "") lines.push(JSON.parse(line));
    if (lines.length >= count) break;
  }
  return lines;
}

async function eventually<T>(probe: () => T | undefined): Promise<T> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const found = probe();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`Cannot go on because this did not come true: ${probe}`);
    await new Promise(setImmediate);
  }
}
