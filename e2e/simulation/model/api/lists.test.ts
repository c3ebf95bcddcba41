import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { beforeEach, describe, expect, test } from "vitest";
import { namespaces } from "./built-in-kinds.ts";
import type { ModelApi } from "./model-api.ts";
import type { StoredObject } from "./object.ts";
import { named, refusalOf, team } from "./test/served-api.ts";
import { type ServedTeam, servedTeam } from "./test/team-objects.ts";

const merge = "application/merge-patch+json";
const inTeam = (resource: typeof pods) => ({ resource, namespace: team });
let api: ModelApi;
let makePod: ServedTeam["makePod"];

beforeEach(() => {
  ({ api, makePod } = servedTeam());
});

describe("lists", () => {
  const many = ["c", "a", "e", "b", "d"];
  const namesOf = (page: { revisions: readonly { object: StoredObject }[] }) =>
    page.revisions.map(({ object }) => object.metadata.name);

  beforeEach(() => {
    for (const name of many) makePod({ name, labels: name < "c" ? { half: "first" } : {} });
  });

  test("are in the order of names, page after page, and show the version of the first page", () => {
    const first = api.list(inTeam(pods), { limit: "2" });
    api.remove(named(pods, "c"));
    makePod({ name: "bb" });
    const second = api.list(inTeam(pods), { limit: "2", continue: first.continue });
    const third = api.list(inTeam(pods), { limit: "2", continue: second.continue });
    expect([first, second, third].map(namesOf)).toEqual([["a", "b"], ["c", "d"], ["e"]]);
    expect([first, second, third].map(({ version }) => version)).toEqual(Array(3).fill(first.version));
    expect([first, second, third].map(({ remaining }) => remaining)).toEqual([3, 1, undefined]);
    expect(third.continue).toBeUndefined();
  });

  test("are of one namespace, or of all, and of what is selected", () => {
    api.create({ resource: namespaces }, { metadata: { name: "other" } });
    api.create(
      { resource: pods, namespace: "other" },
      { metadata: { name: "x" }, spec: { containers: [{ name: "c" }] } },
    );
    expect(namesOf(api.list(inTeam(pods)))).toEqual([...many].sort());
    expect(namesOf(api.list({ resource: pods }))).toContain("x");
    const page = api.list(inTeam(pods), { labelSelector: "half=first", limit: "1" });
    expect(namesOf(page)).toEqual(["a"]);
    expect(page.remaining).toBeUndefined();
    const rest = api.list(inTeam(pods), { labelSelector: "half=first", limit: "1", continue: page.continue });
    expect(namesOf(rest)).toEqual(["b"]);
    const empty = api.list(inTeam(pods), { labelSelector: "half=first", limit: "1", continue: rest.continue });
    expect([namesOf(empty), empty.continue]).toEqual([[], undefined]);
    expect(namesOf(api.list(inTeam(pods), { fieldSelector: "metadata.name=d" }))).toEqual(["d"]);
  });

  test("can be had as they were, as long as the history reaches", () => {
    const then = api.store.version;
    api.remove(named(pods, "c"));
    api.patch(named(pods, "a"), merge, { metadata: { labels: { new: "1" } } });
    makePod({ name: "f" });
    expect(namesOf(api.list(inTeam(pods), {}, then))).toEqual([...many].sort());
    expect(api.get(named(pods, "a"), then).object.metadata.labels).toEqual({ half: "first" });
    api.store.compact();
    expect(refusalOf(() => api.list(inTeam(pods), {}, then))).toMatchObject({ code: 410, reason: "Expired" });
  });

  test("cannot be gone on with once the history is compacted", () => {
    const first = api.list(inTeam(pods), { limit: "2" });
    makePod({ name: "f" });
    api.store.compact();
    const refusal = refusalOf(() => api.list(inTeam(pods), { limit: "2", continue: first.continue }));
    expect(refusal).toMatchObject({ code: 410, reason: "Expired" });
    expect(refusalOf(() => api.list(inTeam(pods), { continue: "?" })).code).toBe(400);
  });
});
