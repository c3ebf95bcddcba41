import { beforeEach, describe, expect, it } from "vitest";
import { scriptedClient } from "../../test/scripted-client.ts";
import { Problems } from "./problems.ts";

const bound = { signal: new AbortController().signal };
const pod = (uid: string) => ({ uid });

describe("what is said of objects that do not get on", () => {
  let now: number;
  let reads: number;
  let note: string;
  let problems: Problems;

  beforeEach(() => {
    now = 0;
    reads = 0;
    note = "no such volume";
    const client = scriptedClient(() => {
      reads += 1;
      return { status: 200, body: { metadata: {}, items: [{ metadata: {}, type: "Warning", note }] } };
    });
    problems = new Problems({ client, log: () => undefined, now: () => now });
  });

  const ofMany = (count: number, namespace = "team") =>
    Promise.all(Array.from({ length: count }, (_, index) => problems.ofPod(pod(`pod-${index}`), namespace, bound)));

  it("is read again after a quarter minute, and not before", async () => {
    const words = async (afterMs: number) => {
      now += afterMs;
      return await problems.ofPod(pod("pod-1"), "team", bound);
    };
    expect(await words(0)).toBe("no such volume");
    note = "no such secret";
    expect([await words(14_999), reads]).toEqual(["no such volume", 1]);
    expect([await words(1), reads]).toEqual(["no such secret", 2]);
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
});

describe("what a queue says of what it keeps", () => {
  const kept = ["pod-mnist-1-0-a1b2c", "mnist-0123abcd-1", "pod-mnist-1-0-a1b2c-9"];
  const items = kept.map((name) => ({ metadata: {}, regarding: { name }, note: `no room for ${name}` }));
  const told = (name: string, queueGroup: string | null) => {
    const client = scriptedClient(() => ({ status: 200, body: { metadata: {}, items } }));
    return new Problems({ client, log: () => undefined }).ofQueued({ name, queueGroup }, "team", bound);
  };

  it.each([
    ["is a pod's that waits alone", "mnist-1-0", null, "no room for pod-mnist-1-0-a1b2c"],
    ["is every pod's of the group that it is about", "mnist-1-2", "mnist-0123abcd-1", "no room for mnist-0123abcd-1"],
    ["is none's of the same name that waits with its group", "mnist-1-0", "mnist-0123abcd-2", ""],
    ["is no other pod's", "mnist-1-1", null, ""],
  ])("%s", async (_, name, queueGroup, words) => {
    expect(await told(name, queueGroup)).toBe(words);
  });
});

describe("what a queue says of a pod that stands on another page", () => {
  const says = (pod: string) => ({ metadata: {}, note: `${pod} waits`, regarding: { name: `pod-${pod}-a1b2c` } });

  /** Pages of one pod each, of which the last is `endsAt`, and one cannot be read. */
  function paged({ endsAt, broken }: Readonly<{ endsAt?: number; broken?: number }>) {
    let reads = 0;
    const client = scriptedClient(({ path }) => {
      const page = Number(new URL(path, "https://server").searchParams.get("continue") ?? "0");
      reads += 1;
      if (page === broken) return { status: 500, body: {} };
      const metadata = page === endsAt ? {} : { continue: String(page + 1) };
      return { status: 200, body: { metadata, items: [says(`mnist-${page}-0`)] } };
    });
    const problems = new Problems({ client, log: () => undefined });
    return async (page: number) => {
      const pod = { name: `mnist-${page}-0`, queueGroup: null };
      return [await problems.ofQueued(pod, "team", bound), reads];
    };
  }

  it("is found there", async () => {
    const of = paged({ endsAt: 2 });
    expect([await of(2), await of(0), await of(3)]).toEqual([
      ["mnist-2-0 waits", 3],
      ["mnist-0-0 waits", 3],
      ["", 3],
    ]);
  });

  it("is found before one that cannot be read", async () => {
    const of = paged({ broken: 2 });
    expect([await of(1), await of(2)]).toEqual([
      ["mnist-1-0 waits", 3],
      ["", 3],
    ]);
  });

  it("is not looked for without an end", async () => {
    expect(await paged({})(19)).toEqual(["mnist-19-0 waits", 20]);
  });
});
