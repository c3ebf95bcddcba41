import { beforeEach, describe, expect, it } from "vitest";
import { scriptedClient } from "../../test/scripted-client.ts";
import { Problems } from "./problems.ts";

const bound = { signal: new AbortController().signal };
const pod = (uid: string) => ({ uid });

describe("what is said of objects that do not get on", () => {
  let now: number;
  let reads: number;
  let note: string;
  let tookMs: number;
  let status: number;
  let problems: Problems;

  beforeEach(() => {
    now = 0;
    reads = 0;
    note = "no such volume";
    tookMs = 0;
    status = 200;
    const client = scriptedClient(() => {
      reads += 1;
      now += tookMs;
      return { status, body: { metadata: {}, items: [{ metadata: {}, type: "Warning", note }] } };
    });
    problems = new Problems({ client, log: () => undefined, now: () => now });
  });

  const wordsOf = async (afterMs: number) => {
    now += afterMs;
    return await problems.ofPod(pod("pod-1"), "team", bound);
  };
  const ofMany = (count: number, namespace = "team") =>
    Promise.all(Array.from({ length: count }, (_, index) => problems.ofPod(pod(`pod-${index}`), namespace, bound)));

  it("is read again after a quarter minute, and not before", async () => {
    expect(await wordsOf(0)).toBe("no such volume");
    note = "no such secret";
    expect([await wordsOf(14_999), reads]).toEqual(["no such volume", 1]);
    expect([await wordsOf(1), reads]).toEqual(["no such secret", 2]);
  });

  it("costs a namespace ten reads at once and then one a second, however many objects wait there", async () => {
    await ofMany(1_000);
    expect(reads).toBe(10);
    for (let second = 0; second < 60; second += 1) {
      now += 1_000;
      await ofMany(1_000);
    }
    expect(reads).toBe(70);
  });

  it("is each namespace's own matter", async () => {
    await ofMany(1_000);
    await ofMany(5, "other");
    expect(await problems.ofPod(pod("pod-9999"), "other", bound)).toBe("no such volume");
  });

  it("stays what it was where it may not be read again yet", async () => {
    await problems.ofPod(pod("first"), "team", bound);
    now += 15_000;
    await ofMany(1_000);
    expect([await problems.ofPod(pod("first"), "team", bound), reads]).toEqual(["no such volume", 11]);
  });

  const costly: readonly [what: string, tookMs: number, status: number, readsThere: number, readsElsewhere: number][] =
    [
      ["answers slowly", 500, 200, 0, 1],
      ["refuses slowly", 500, 403, 0, 1],
      ["fails", 0, 500, 0, 0],
      ["asks for patience", 0, 429, 0, 0],
      ["answers at once", 499, 200, 1, 1],
      ["refuses at once, in one namespace perhaps", 0, 403, 1, 1],
    ];
  it.each(costly)(
    "keeps no pass waiting for the next quarter minute, there or of whatever namespace, where the server %s",
    async (_what, took, answered, readsThere, readsElsewhere) => {
      tookMs = took;
      status = answered;
      await wordsOf(0);
      await problems.ofPod(pod("pod-2"), "team", bound);
      expect(reads).toBe(1 + readsThere);
      const queued = { uid: "pod-3", name: "mnist-1-0", queueGroup: null, told: "" };
      await problems.ofQueued(queued, "other", bound);
      expect(reads).toBe(1 + readsThere + readsElsewhere);
      now += 15_000;
      await problems.ofPod(pod("pod-4"), "team", bound);
      expect(reads).toBe(2 + readsThere + readsElsewhere);
    },
  );

  it("is read of one namespace at a time for a quarter minute where the server has answered slowly", async () => {
    tookMs = 500;
    await wordsOf(0);
    const ofNamespaces = (...names: readonly string[]) =>
      Promise.all(names.map((name) => problems.ofPod(pod(`pod of ${name}`), name, bound)));
    await ofNamespaces("a", "b", "c");
    expect(reads).toBe(2);
    await ofNamespaces("b", "c");
    expect(reads).toBe(3);
    tookMs = 0;
    now += 15_000;
    await ofNamespaces("a", "b", "c");
    expect(reads).toBe(6);
  });

  it("is not kept of what went while it was asked about", async () => {
    const asked = wordsOf(0);
    problems.forget("pod-1");
    expect([await asked, await wordsOf(0), reads]).toEqual(["no such volume", "no such volume", 2]);
  });
});
