import { beforeEach, describe, expect, it } from "vitest";
import { type Fields, runUid, storedRun } from "../../test/run-builder.ts";
import { scriptedClient } from "../../test/scripted-client.ts";
import { labels } from "../api/names.ts";
import { ObjectCache } from "../kubernetes/cache.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { LateClaims } from "./late-claims.ts";

const bound = { signal: new AbortController().signal };
const key = "team/mnist";
const name = `mnist-${runUid.slice(0, 8)}`;

const gone = (spec: Fields = {}): KubeObject =>
  storedRun({
    metadata: { deletionTimestamp: "2026-01-01T01:00:00Z" },
    spec: { deletionPolicy: "Delete", ...spec },
  }) as KubeObject;
const claim = (metadata: Fields = {}): KubeObject => ({
  metadata: {
    name,
    namespace: "team",
    uid: "c1",
    resourceVersion: "9",
    creationTimestamp: "2026-01-01T01:00:00Z",
    labels: { [labels.runUid]: runUid },
    ...metadata,
  },
});

describe("a claim that comes after its run", () => {
  let now: number;
  let late: LateClaims;

  beforeEach(() => {
    now = 0;
    late = new LateClaims(() => now);
  });

  it("is known by the run's uid and its own age", () => {
    late.runGone(gone());
    expect(late.runOf(claim())).toBe(key);
  });

  const others: readonly [name: string, run: KubeObject, claim: KubeObject][] = [
    ["one that was there before its run was deleted", gone(), claim({ creationTimestamp: "2026-01-01T00:59:59Z" })],
    ["one whose run was to leave its data", gone({ deletionPolicy: "Retain" }), claim()],
    ["one that is the user's", gone({ checkpoint: { volume: { claimName: name } } }), claim()],
    ["one of another run", gone(), claim({ labels: { [labels.runUid]: "another" } })],
    ["one of another name, such as a copy", gone(), claim({ name: "copy" })],
    ["one that is being deleted", gone(), claim({ deletionTimestamp: "2026-01-01T01:00:01Z" })],
  ];
  it.each(others)("is not %s", (_, run, found) => {
    late.runGone(run);
    expect(late.runOf(found)).toBeUndefined();
  });

  it("is looked for where nobody was there to hear of it", () => {
    late.runGone(gone());
    const copy = new ObjectCache<KubeObject>();
    expect(late.waiting(copy)).toEqual([]);
    copy.put(claim());
    expect(late.waiting(copy)).toEqual([key]);
  });

  it("is none after ten minutes", () => {
    late.runGone(gone());
    now += 10 * 60_000 + 1;
    expect(late.runOf(claim())).toBeUndefined();
  });

  const living: readonly [name: string, uid: string | undefined, deleted: boolean][] = [
    ["is deleted once the server says that the run is gone", undefined, true],
    ["is deleted where another run has the name", "another", true],
    ["is left alone where the run stands after all", runUid, false],
  ];
  it.each(living)("%s", async (_, uid, deleted) => {
    late.runGone(gone());
    const claims = new ObjectCache<KubeObject>();
    claims.put(claim());
    const sent: unknown[] = [];
    const client = scriptedClient(({ method, body }) => {
      if (method === "DELETE") sent.push((body as { preconditions: unknown }).preconditions);
      if (method === "GET" && uid === undefined) return { status: 404, body: {} };
      return { status: 200, body: { metadata: { name: "mnist", namespace: "team", uid } } };
    });
    await late.sweep(key, { caches: { claims }, client }, bound);
    expect(sent).toEqual(deleted ? [{ uid: "c1", resourceVersion: "9" }] : []);
  });

  it("costs nothing where there is none", async () => {
    late.runGone(gone());
    const client = scriptedClient(() => new Error("nobody is to be asked"));
    const keeper = { caches: { claims: new ObjectCache<KubeObject>() }, client };
    await expect(late.sweep(key, keeper, bound)).resolves.toBeUndefined();
  });
});
