import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { beforeEach, expect, test } from "vitest";
import { namespaces } from "./built-in-kinds.ts";
import type { Query } from "./lists.ts";
import type { ModelApi } from "./model-api.ts";
import { fieldsOf } from "./object.ts";
import { type HandClock, named, refusalOf, servedApi, team } from "./test/served-api.ts";

const merge = "application/merge-patch+json";
const at = { resource: pods, namespace: team };
let api: ModelApi;
let clock: HandClock;

beforeEach(() => {
  ({ api, clock } = servedApi({ longestLog: 8 }));
});

function make(name: string, labels: Record<string, string> = {}): string {
  const body = { metadata: { name, labels }, spec: { containers: [{ name: "c" }] } };
  return api.create(at, body).object.metadata.resourceVersion;
}

function relabel(name: string, labels: Record<string, string | null>): void {
  api.patch(named(pods, name), merge, { metadata: { labels } });
}

/** A watch, and what it has said: type, name, and the version told. */
function watch(query: Query) {
  const lines: string[] = [];
  let ended = 0;
  const open = api.watch(at, query, {
    say: (line) => {
      expect(line.endsWith("}\n")).toBe(true);
      const { type, object } = fieldsOf(JSON.parse(line));
      const { name, resourceVersion } = fieldsOf(fieldsOf(object).metadata);
      lines.push([type, name, resourceVersion].filter((part) => part !== undefined).join(" "));
    },
    end: () => {
      ended += 1;
    },
  });
  return { lines, open, ended: () => ended };
}

test("tells what happened after its version, and goes on", () => {
  const first = make("a");
  const second = make("b");
  const seen = watch({ resourceVersion: first });
  relabel("a", { x: "1" });
  api.remove(named(pods, "b"));
  const newest = api.store.version;
  expect(seen.lines).toEqual([
    `ADDED b ${second}`,
    `MODIFIED a ${newest - 2}`,
    `MODIFIED b ${newest - 1}`,
    `DELETED b ${newest}`,
  ]);
});

test("without a version begins with what is there", () => {
  const first = make("a");
  relabel("a", { x: "1" });
  const seen = watch({});
  expect(seen.lines).toEqual([`ADDED a ${Number(first) + 1}`]);
});

test("tells the last state of what was deleted, under the version of its end", () => {
  make("a", { x: "1" });
  const texts: string[] = [];
  api.watch(at, { resourceVersion: String(api.store.version) }, { say: (line) => texts.push(line), end: () => {} });
  api.remove(named(pods, "a"));
  expect(JSON.parse(texts.at(-1) ?? "")).toMatchObject({
    type: "DELETED",
    object: { kind: "Pod", metadata: { labels: { x: "1" }, resourceVersion: String(api.store.version) } },
  });
});

test("with a selector tells what comes into its view and what leaves it", () => {
  const seen = watch({ resourceVersion: String(api.store.version), labelSelector: "x=1" });
  make("a");
  make("b", { x: "1" });
  const start = api.store.version;
  relabel("a", { x: "1" });
  relabel("a", { y: "2" });
  relabel("a", { x: null });
  relabel("a", { z: "3" });
  relabel("b", { x: "2" });
  expect(seen.lines.slice(1)).toEqual([
    `ADDED a ${start + 1}`,
    `MODIFIED a ${start + 2}`,
    `DELETED a ${start + 3}`,
    `DELETED b ${start + 5}`,
  ]);
});

test("is of one namespace", () => {
  const lines: string[] = [];
  const other = { resource: pods, namespace: "other" };
  api.watch(other, { resourceVersion: "1000" }, { say: (line) => lines.push(line), end: () => {} });
  make("a");
  expect(lines).toEqual([]);
});

test("sends a bookmark about once a minute and shortly before its end, where it is asked to and something is new", () => {
  const version = make("a");
  const seen = watch({ resourceVersion: version, allowWatchBookmarks: "true", timeoutSeconds: "190" });
  const silent = watch({ resourceVersion: version, timeoutSeconds: "190" });
  clock.pass(59_000);
  const elsewhere = Number(api.create({ resource: namespaces }, { metadata: { name: "b" } }).version);
  expect(seen.lines).toEqual([]);
  clock.pass(2_000);
  expect(seen.lines).toEqual([`BOOKMARK ${elsewhere}`]);
  clock.pass(60_000);
  expect(seen.lines).toHaveLength(1);
  api.create({ resource: namespaces }, { metadata: { name: "c" } });
  clock.pass(60_000);
  api.create({ resource: namespaces }, { metadata: { name: "d" } });
  clock.pass(8_000);
  expect(seen.lines.slice(1)).toEqual([`BOOKMARK ${elsewhere + 1}`, `BOOKMARK ${elsewhere + 2}`]);
  expect([seen.ended(), silent.lines.length]).toEqual([0, 0]);
  clock.pass(1_000);
  expect([seen.ended(), silent.ended()]).toEqual([1, 1]);
  make("b");
  expect(seen.lines).toHaveLength(3);
});

test("from a version that is still to come tells nothing up to it", () => {
  const next = Number(make("a")) + 2;
  const seen = watch({ resourceVersion: String(next) });
  for (const name of ["b", "c"]) make(name);
  expect(seen.lines).toEqual([]);
  expect([make("d"), seen.lines]).toEqual([String(next + 1), [`ADDED d ${next + 1}`]]);
});

test("cannot begin before what the history holds", () => {
  const version = make("a");
  for (let count = 0; count < 9; count += 1) relabel("a", { x: String(count) });
  expect(refusalOf(() => watch({ resourceVersion: version }))).toMatchObject({ code: 410, reason: "Expired" });
  expect(watch({ resourceVersion: String(api.store.version - 2) }).lines).toHaveLength(2);
});

test("ends when the server is restarted, and cannot go on from before; what is stored stays", () => {
  make("a");
  const before = String(api.store.version - 1);
  const seen = watch({ resourceVersion: before });
  api.restart();
  expect(seen.ended()).toBe(1);
  expect(refusalOf(() => watch({ resourceVersion: before })).code).toBe(410);
  expect(watch({ resourceVersion: String(api.store.version) }).lines).toEqual([]);
  expect(api.list(at).revisions).toHaveLength(1);
});

test("is told nothing after its client has left", () => {
  const seen = watch({ resourceVersion: String(api.store.version) });
  seen.open.leave();
  make("a");
  expect([seen.lines.length, api.watches.count]).toEqual([0, 0]);
});
