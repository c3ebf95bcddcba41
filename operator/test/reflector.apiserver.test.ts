import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ObjectCache } from "../src/kubernetes/cache.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { Reflector, type ReflectorTiming } from "../src/kubernetes/reflector.ts";
import { credentialsOf, testClient, until, useApiServer } from "./api-server.ts";
import { FaultProxy, type OpenWatch, type Seen } from "./fault-proxy.ts";

const configMaps = { group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", scope: "Namespaced" } as const;
const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const isList = (seen: Seen) => seen.path.includes("/configmaps") && !seen.isWatch;
const isFullList = (seen: Seen) => isList(seen) && !seen.path.includes("limit=1&") && !seen.path.endsWith("limit=1");
const isWatch = (seen: Seen) => seen.path.includes("/configmaps") && seen.isWatch;

/** In a hurry, but for the watch itself, which no test shall see the end of unless it is about that. */
const hurried: Partial<ReflectorTiming> = {
  watchSeconds: { least: 60, most: 60 },
  blindLimitMs: 120_000,
  overdueMs: 500,
  livedMs: 0,
  openTimeoutMs: 1_000,
  pageSize: 7,
  spacingMs: 10,
  backoff: { firstMs: 10, maxMs: 100 },
};
/** Watches that a test sees the end of. */
const brief = { watchSeconds: { least: 1, most: 1 } };
const bookmark = (resourceVersion: string) => ({
  type: "BOOKMARK",
  object: { kind: "ConfigMap", metadata: { resourceVersion } },
});

const api = useApiServer();
let drawn = 0;

describe("a reflector between which and a real API server things break", () => {
  let proxy: FaultProxy;
  let proxied: Credentials;
  let namespace: string;
  let cache: ObjectCache<KubeObject>;
  let reflector: Reflector<KubeObject>;
  let stop: AbortController;
  let running: Promise<void>;
  let told: string[];
  let errors: string[];

  beforeEach(async () => {
    drawn += 1;
    namespace = `reflector-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    proxy = new FaultProxy(api.credentials);
    proxied = credentialsOf(await proxy.start());
    cache = new ObjectCache();
    told = [];
    errors = [];
    cache.listen((change) => told.push(`${change.kind} ${change.object.metadata.name}`));
    stop = new AbortController();
    running = Promise.resolve();
  });

  afterEach(async () => {
    stop.abort(new Error("the test is over"));
    await running;
    await proxied.close();
    await proxy.stop();
    await api.direct.remove({ resource: namespaces, name: namespace }, await exactly(namespace), forever);
  });

  async function exactly(name: string) {
    const { metadata } = await api.direct.get<KubeObject>({ resource: namespaces, name }, forever);
    return { preconditions: { uid: metadata.uid } };
  }

  async function add(...names: string[]): Promise<void> {
    for (const name of names) {
      const object = { metadata: { name, labels: { kept: "yes" } } };
      await api.direct.create({ resource: configMaps, namespace }, object, forever);
    }
  }

  async function remove(name: string): Promise<void> {
    const target = { resource: configMaps, namespace, name };
    const { metadata } = await api.direct.get<KubeObject>(target, forever);
    await api.direct.remove(target, { preconditions: { uid: metadata.uid } }, forever);
  }

  /** Starts a reflector and waits until its watch is open. */
  async function start(timing: Partial<ReflectorTiming> = {}): Promise<OpenWatch> {
    reflector = new Reflector<KubeObject>({
      client: testClient(proxied),
      cache,
      resource: configMaps,
      namespace,
      labelSelector: "kept=yes",
      trim: (object) => object,
      timing: { ...hurried, ...timing },
      onError: (error) => errors.push(error instanceof Error ? error.name : String(error)),
    });
    running = reflector.run(stop.signal);
    return await watchOpen();
  }

  function watchOpen(): Promise<OpenWatch> {
    return until("a watch is open and the reflector sees", () =>
      reflector.lostAt === undefined ? proxy.watches("/configmaps")[0] : undefined,
    );
  }

  async function expectEqualToServer(): Promise<void> {
    const names = async () => {
      const page = await api.direct.list<KubeObject>(
        { resource: configMaps, namespace },
        { labelSelector: "kept=yes" },
        forever,
      );
      return page.items.map(({ metadata }) => `${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`).sort();
    };
    const cached = () =>
      cache.all().map(({ metadata }) => `${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`);
    const wanted = (await names()).join("\n");
    await until("the cache equals the server", () => cached().sort().join("\n") === wanted || undefined);
  }

  const manyNames = Array.from({ length: 30 }, (_, index) => `c${String(index).padStart(2, "0")}`);

  it("reads a list of many pages and then follows the watch", async () => {
    await add(...manyNames);
    await start();
    expect(reflector.hasSynced).toBe(true);
    expect(proxy.seen.filter(isList).length).toBe(Math.ceil(manyNames.length / 7));
    await add("later");
    await remove("c00");
    await until("the deletion is told", () => told.includes("Deleted c00") || undefined);
    expect(told).toEqual([...manyNames.map((name) => `Added ${name}`), "Added later", "Deleted c00"]);
    await expectEqualToServer();
  });

  it("asks for bookmarks and for an end, and is told of its own progress by them", async () => {
    await start();
    const [watch] = proxy.seen.filter(isWatch);
    expect(watch?.path).toContain("allowWatchBookmarks=true");
    expect(Number(/timeoutSeconds=(\d+)/.exec(watch?.path ?? "")?.[1])).toBeGreaterThanOrEqual(60);
    expect(reflector.hasSeen("999999999", performance.now())).toBe(false);
    proxy.watches("/configmaps")[0]?.say(bookmark("999999999"));
    await until("the bookmark is taken in", () => reflector.hasSeen("999999999", performance.now()) || undefined);
  });

  it("lives on watches that the server ends by itself, without an error and without another list", async () => {
    await start(brief);
    const completeAt = reflector.completeAt;
    await until("several have ended", () => proxy.seen.filter(isWatch).length >= 4 || undefined);
    await add("a");
    await until("the addition is told", () => told.includes("Added a") || undefined);
    expect([errors, proxy.seen.filter(isFullList).length]).toEqual([[], 1]);
    expect(reflector.completeAt - completeAt).toBeGreaterThan(2_000);
  });

  it("notices a watch that falls silent and stays open when its end is overdue", async () => {
    await add("a");
    const watch = await start(brief);
    watch.stall();
    await add("b");
    await until("the addition is told", () => told.includes("Added b") || undefined);
    expect([errors, proxy.seen.filter(isFullList).length]).toEqual([["OverdueWatchError"], 1]);
    await expectEqualToServer();
  });

  // A server takes watches of versions that it has yet to reach, and says nothing until then.
  const poisons: readonly [name: string, timing: Partial<ReflectorTiming>, act: () => Promise<void>][] = [
    ["by the next event", {}, () => add("b")],
    ["in the quiet, when a watch has ended without a word", brief, async () => undefined],
  ];
  it.each(poisons)("recovers from a version that never was, found out %s", async (_, timing, act) => {
    await add("a");
    const watch = await start({ ...timing, doubtMs: 1_000 });
    watch.say(bookmark("999999999"));
    await until("it is taken in", () => reflector.hasSeen("999999999", performance.now()) || undefined);
    await act();
    await until("the server's state is taken as it is", () => errors.includes("ReplacedHistoryError") || undefined);
    await watchOpen();
    await add("c");
    await expectEqualToServer();
    expect(reflector.hasSeen("999999999", performance.now())).toBe(false);
  });

  it("gives a fresh list to who asks for one, however its watch is", async () => {
    const watch = await start();
    watch.stall();
    await add("a");
    await reflector.refresh(stop.signal);
    expect([told, errors]).toEqual([["Added a"], []]);
  });

  const breaks: readonly [
    name: string,
    act: (watch: OpenWatch, namespace: string) => void,
    errors: string[],
    lists: number,
  ][] = [
    ["resets the connection", (watch) => watch.reset(), [], 0],
    ["ends within a line", (watch) => watch.truncate(), ["TruncatedWatchError"], 0],
    ["sends a line that is no JSON", (watch) => watch.garble(), ["UnreadableWatchError"], 1],
    [
      "says that its history is gone",
      (watch) =>
        watch.say({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired", message: "too old" } }),
      ["ApiError"],
      1,
    ],
    [
      "says that it failed inside",
      (watch) =>
        watch.say({ type: "ERROR", object: { kind: "Status", code: 500, reason: "InternalError", message: "etcd" } }),
      ["ApiError"],
      0,
    ],
    [
      "goes back in time",
      (watch, namespace) =>
        watch.say({
          type: "MODIFIED",
          object: { kind: "ConfigMap", metadata: { name: "a", namespace, uid: "u", resourceVersion: "1" } },
        }),
      ["StaleServerError"],
      1,
    ],
    [
      "tells of an object that is nobody",
      (watch) => watch.say({ type: "MODIFIED", object: { metadata: { resourceVersion: "999999999" } } }),
      ["UnreadableWatchError"],
      1,
    ],
  ];
  it.each(breaks)("misses nothing when the watch %s", async (_, act, expectedErrors, lists) => {
    await add("a", "b");
    const watch = await start();
    const listsBefore = proxy.seen.filter(isList).length;
    act(watch, namespace);
    // What happens while nobody looks: an addition, a deletion, and a deletion with a new object under the name.
    await add("c");
    await remove("a");
    await remove("b");
    await add("b");
    await until("the reflector noticed", () => errors.length > 0 || undefined);
    await until("everything is told", () => told.filter((line) => line === "Added b").length === 2 || undefined);
    await expectEqualToServer();
    if (expectedErrors.length > 0) expect(errors).toEqual(expectedErrors);
    expect(proxy.seen.filter(isList).length - listsBefore).toBe(lists);
    expect(told.slice().sort()).toEqual(["Added a", "Added b", "Added b", "Added c", "Deleted a", "Deleted b"].sort());
    expect(told.lastIndexOf("Added b")).toBeGreaterThan(told.indexOf("Deleted b"));
  });

  it("goes on after the server ended the watch as agreed, without a list", async () => {
    await add("a");
    const watch = await start();
    const watches = proxy.seen.filter(isWatch).length;
    await add("b");
    await until("the addition is told", () => told.includes("Added b") || undefined);
    watch.end();
    await until("it watches again", () => proxy.seen.filter(isWatch).length > watches || undefined);
    await add("c");
    await until("the next addition is told", () => told.includes("Added c") || undefined);
    expect([errors, proxy.seen.filter(isList).length]).toEqual([[], 1]);
  });

  const answers: readonly [
    name: string,
    matches: (seen: Seen) => boolean,
    status: number,
    headers: Record<string, string>,
  ][] = [
    ["500 to the watch", isWatch, 500, {}],
    ["429 with Retry-After to the watch", isWatch, 429, { "retry-after": "1" }],
    ["410 to the watch", isWatch, 410, {}],
    ["500 to the list", isList, 500, {}],
    ["429 with Retry-After to the list", isList, 429, { "retry-after": "1" }],
    ["410 to a page of the list", (seen) => isList(seen) && seen.path.includes("continue="), 410, {}],
    ["with a Status to the list", isList, 200, {}],
  ];
  it.each(answers)("comes through when the server answers %s", async (_, matches, status, headers) => {
    await add(...manyNames);
    proxy.fail(
      matches,
      { kind: "Answer", status, headers, body: { kind: "Status", code: status, reason: "", message: "" } },
      2,
    );
    const startedAt = performance.now();
    await start();
    if (status === 429) expect(performance.now() - startedAt).toBeGreaterThanOrEqual(2_000);
    await add("later");
    await expectEqualToServer();
    expect(told.length).toBe(manyNames.length + 1);
  });

  it("gives up on a server that takes the connection and says nothing", async () => {
    proxy.fail(isWatch, { kind: "Stall" }, 2);
    await add("a");
    await start();
    expect(errors).toEqual(["NoAnswerError", "NoAnswerError"]);
    await expectEqualToServer();
  });

  it("says since when it has had no watch, and up to when it has seen everything by its lists", async () => {
    const watch = await start();
    expect(reflector.lostAt).toBeUndefined();
    proxy.fail(isWatch, { kind: "Reset" }, 1_000);
    watch.reset();
    await until("it has lost its watch", () => reflector.lostAt !== undefined || undefined);
    const { lostAt, completeAt } = reflector;
    await until("it has tried more than once", () => errors.length > 3 || undefined);
    expect([reflector.lostAt, reflector.completeAt > completeAt]).toEqual([lostAt, true]);
    proxy.heal();
    await watchOpen();
  });

  it("refuses a list older than what it has seen, until the server has caught up", async () => {
    await add("a");
    const watch = await start();
    await add("b");
    await until("the addition is told", () => told.includes("Added b") || undefined);
    const old = { kind: "ConfigMapList", metadata: { resourceVersion: "2" }, items: [] };
    proxy.fail(isList, { kind: "Answer", status: 200, body: old }, 2);
    watch.garble();
    await until("it refused", () => errors.includes("StaleServerError") || undefined);
    await until("it caught up", () => reflector.lostAt === undefined || undefined);
    expect(told).toEqual(["Added a", "Added b"]);
    expect(errors).toEqual(["UnreadableWatchError", "StaleServerError", "StaleServerError"]);
    await expectEqualToServer();
  });

  it("does not ask again at once, for ever, a server that ends every watch at once", async () => {
    await start({ livedMs: 1_000 });
    const before = proxy.seen.length;
    proxy.fail(isWatch, { kind: "Answer", status: 200 }, 1_000);
    proxy.watches("/configmaps")[0]?.end();
    await until("it has seen three such watches", () => (errors.length >= 3 ? true : undefined));
    expect(errors[0]).toBe("ShortWatchError");
    expect(proxy.seen.length - before).toBeLessThan(10);
    proxy.heal();
    await watchOpen();
  });

  it("lists before it watches again where a server was away: it may be back with another history", async () => {
    await start();
    proxy.fail(isWatch, { kind: "Answer", status: 500 });
    proxy.watches("/configmaps")[0]?.reset();
    await until("it listed again", () => proxy.seen.filter(isList).length === 2 || undefined);
    await watchOpen();
  });

  it("keeps one cache for several namespaces apart", async () => {
    await add("a");
    await start();
    const elsewhere = new Reflector<KubeObject>({
      client: api.direct,
      cache,
      resource: configMaps,
      namespace: "kube-public",
      trim: (object) => object,
      onError: () => undefined,
    });
    const own = new AbortController();
    const run = elsewhere.run(own.signal);
    await until("both are synced", () => elsewhere.hasSynced || undefined);
    expect(cache.get(`${namespace}/a`)).toBeDefined();
    own.abort(new Error("enough"));
    await run;
  });
});
