import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { beforeEach, describe, expect, it, test } from "vitest";
import { type Scripted, scriptedClient, until } from "../../test/scripted-client.ts";
import { ProblemEvents } from "./problem-events.ts";
import { QueueWords } from "./queue-words.ts";

const bound = { signal: new AbortController().signal };
const alone = (name: string) => ({ uid: `uid of ${name}`, name, queueGroup: null, told: "" });
const says = (name: string, note: string) => ({ metadata: {}, note, regarding: { name } });
const pageOf = (items: readonly object[], next?: number): Scripted => {
  return { status: 200, body: { metadata: next === undefined ? {} : { continue: String(next) }, items } };
};

/** What is said by a server whose every answer is one of a function's, by the number of the page; and how often it was asked. */
class Asked {
  now = 0;
  reads = 0;
  readonly said: string[] = [];
  readonly words: QueueWords;

  constructor(answer: (page: number, namespace: string) => Scripted) {
    const client = scriptedClient(({ path }) => {
      this.reads += 1;
      const { searchParams, pathname } = new URL(path, "https://server");
      return answer(Number(searchParams.get("continue") ?? "0"), pathname.split("/").at(-2) ?? "");
    });
    const now = () => this.now;
    this.words = new QueueWords(new ProblemEvents({ client, log: (_, message) => this.said.push(message), now }), now);
  }

  of(name: string, namespace = "team", told = ""): Promise<string> {
    return this.words.of({ ...alone(name), told }, namespace, bound);
  }
}

describe("what a queue says of what it keeps", () => {
  const kept = ["pod-mnist-1-0-a1b2c", "mnist-0123abcd-1", "pod-mnist-1-0-a1b2c-9"];
  const items = kept.map((name) => says(name, `no room for ${name}`));

  it.each([
    ["is a pod's that waits alone", "mnist-1-0", null, "no room for pod-mnist-1-0-a1b2c"],
    ["is every pod's of the group that it is about", "mnist-1-2", "mnist-0123abcd-1", "no room for mnist-0123abcd-1"],
    ["is none's of the same name that waits with its group", "mnist-1-0", "mnist-0123abcd-2", ""],
    ["is no other pod's", "mnist-1-1", null, ""],
  ])("%s", async (_, name, queueGroup, expected) => {
    const { words } = new Asked(() => pageOf(items));
    expect(await words.of({ uid: "pod", name, queueGroup, told: "" }, "team", bound)).toBe(expected);
  });

  it("is the newest of it", async () => {
    const at = (time: string, note: string) => ({ ...says("pod-a-1-0-x", note), eventTime: time });
    const asked = new Asked(() => pageOf([at("2026-01-01T00:00:02Z", "no GPU"), at("2026-01-01T00:00:01Z", "no CPU")]));
    expect(await asked.of("a-1-0")).toBe("no GPU");
  });

  it.each([
    ["no room for nvidia.com/gpu in flavor a-1, 3 more needed, for memory, 1953125Ki more needed.", "2 more needed"],
    ["no room. Pending the preemption of 1 workload(s)", "of 12 workload(s)"],
    ['topology "racks" allows to fit only 1 out of 4 pod(s)', "only 3 out of 4 pod(s)"],
  ])("is told without what others' coming and going changes: %s", async (note, otherwise) => {
    const amount = /\w+ more needed|of \d+ workload\(s\)|only \d+ out of 4 pod\(s\)/g;
    const told = await new Asked(() => pageOf([says("pod-a-1-0-x", note)])).of("a-1-0");
    expect(told).toMatch(/^(no room|topology "racks")/);
    expect(await new Asked(() => pageOf([says("pod-a-1-0-x", note.replace(amount, otherwise))])).of("a-1-0")).toBe(
      told,
    );
  });
});

describe("what a queue says of a pod that stands on another page", () => {
  /** Pages of one pod each, of which the last is `endsAt`, and one cannot be read. */
  function paged({ endsAt, broken }: Readonly<{ endsAt?: number; broken?: number }>) {
    const asked = new Asked((page) => {
      if (page === broken) return { status: 500, body: {} };
      const items = [says(`pod-mnist-${page}-0-a1b2c`, `mnist-${page}-0 waits`)];
      return pageOf(items, page === endsAt ? undefined : page + 1);
    });
    return async (page: number) => [await asked.of(`mnist-${page}-0`), asked.reads];
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

  it.each([
    ["keeps nobody from reading elsewhere, where a page came before", 1, 3],
    ["has nobody read elsewhere for now, where none came", 0, 1],
  ])("and cannot be read because the connection broke %s", async (_, pages, reads) => {
    const asked = new Asked((page, namespace) => {
      if (namespace === "team" && page === pages) return new Error("reset");
      return pageOf([says("group", "no room")], namespace === "team" ? page + 1 : undefined);
    });
    await asked.of("mnist-1-0");
    await asked.of("mnist-1-0", "other");
    expect(asked.reads).toBe(reads);
  });

  it("is not looked for by a pass that has ended between two pages", async () => {
    const pass = new AbortController();
    const asked = new Asked((page) => {
      if (page === 0) return pageOf([says("pod-a-1-0-x", "no room")], 1);
      pass.abort(new Error("the term is over"));
      return new Error("cut off");
    });
    await expect(asked.words.of(alone("a-1-0"), "team", pass)).rejects.toThrow("the term is over");
    expect([asked.reads, asked.said]).toEqual([2, []]);
  });
});

describe("the events of a namespace", () => {
  let asked: Asked;
  let answer: Scripted;

  beforeEach(() => {
    answer = pageOf([says("group", "no room")]);
    asked = new Asked(() => answer);
  });

  const gang = (workers: number) =>
    Promise.all(
      Array.from({ length: workers }, (_, worker) =>
        asked.words.of(
          { uid: `worker ${worker}`, name: `gang-1-${worker}`, queueGroup: "group", told: "" },
          "team",
          bound,
        ),
      ),
    );

  it("are read once for all who ask meanwhile, and not again for a quarter minute", async () => {
    expect(new Set(await gang(64))).toEqual(new Set(["no room"]));
    asked.now = 14_999;
    await gang(64);
    expect(asked.reads).toBe(1);
    asked.now = 15_000;
    await gang(64);
    await until(() => asked.reads === 2);
  });

  it("count as read where that failed: nobody asks again at once, and what was known stays", async () => {
    await gang(1);
    answer = { status: 403, body: { kind: "Status", message: "events are not for you" } };
    asked.now = 15_000;
    expect(await gang(1)).toEqual(["no room"]);
    await until(() => asked.said.length === 1);
    for (let pass = 0; pass < 1_000; pass += 1) expect(await gang(1)).toEqual(["no room"]);
    await nextTurn();
    expect(asked.reads).toBe(2);
  });

  it("are read by turns, of which other objects that wait there have theirs", async () => {
    const turns = [false, true];
    const events = { takeTurn: () => turns.shift() ?? true, read: async () => [says("group", "no room")] };
    const words = new QueueWords(events as never, () => 0);
    const pod = { uid: "pod", name: "gang-1-0", queueGroup: "group", told: "" };
    expect([await words.of(pod, "team", bound), await words.of(pod, "team", bound)]).toEqual(["", "no room"]);
  });

  it("are forgotten with the last of the pods that wait there", async () => {
    await gang(2);
    asked.words.forget("worker 0");
    await gang(2);
    expect(asked.reads).toBe(1);
    for (const worker of [0, 1]) asked.words.forget(`worker ${worker}`);
    await gang(1);
    expect(asked.reads).toBe(2);
  });
});

describe("a read of a namespace that takes long", () => {
  let answer: (told: readonly object[]) => void;
  let passOver: (name: string, told?: string) => Promise<string>;

  beforeEach(() => {
    const events = {
      takeTurn: () => true,
      read: () =>
        new Promise<readonly object[]>((resolve) => {
          answer = resolve;
        }),
    };
    const words = new QueueWords(events as never, () => 0);
    passOver = (name, told = "") =>
      words.of({ ...alone(name), told }, "team", { signal: new AbortController().signal });
  });

  it("is waited for by the pass that began it alone: all others are told what is known", async () => {
    const first = passOver("a-1-0");
    expect(await Promise.all([passOver("b-1-0"), passOver("c-1-0", "no room.")])).toEqual(["", "no room."]);
    answer([says("pod-a-1-0-x", "no GPU"), says("pod-b-1-0-x", "no CPU")]);
    expect(await first).toBe("no GPU");
    expect(await Promise.all([passOver("b-1-0"), passOver("c-1-0")])).toEqual(["no CPU", "no room."]);
  });

  it("is not waited for where an operator that led before has told what stands until something else is said", async () => {
    expect(await passOver("a-1-0", "no room.")).toBe("no room.");
    answer([says("pod-a-1-0-x", "no GPU")]);
    await nextTurn();
    expect(await passOver("a-1-0", "no room.")).toBe("no GPU");
  });
});

type Look = Readonly<{ answer: "Whole" | "Cut" | "Empty" | "Failed"; reason: number; amount: number; afterMs: number }>;

const looks: fc.Arbitrary<readonly Look[]> = fc.array(
  fc.record({
    answer: fc.constantFrom("Whole", "Cut", "Empty", "Failed"),
    reason: fc.nat(1),
    amount: fc.nat(9),
    afterMs: fc.nat(200_000),
  }),
  { maxLength: 40 },
);

test("what a pod is told never goes, and changes with the reason alone, every ten minutes at most", async () => {
  await fc.assert(
    fc.asyncProperty(looks, fc.constantFrom("", "reason 0, more needed"), async (history, told) => {
      let look: Look | undefined;
      const asked = new Asked((page) => {
        const broken = { status: 500, body: {} };
        if (look === undefined || look.answer === "Failed" || page > 0) return broken;
        if (look.answer === "Empty") return pageOf([]);
        if (look.answer === "Cut") return pageOf([says("pod-b-1-0-x", "no room")], 1);
        return pageOf([says("pod-a-1-0-x", `reason ${look.reason}, ${look.amount} more needed`)]);
      });
      let last: Readonly<{ words: string; at: number }> = { words: told, at: Number.NEGATIVE_INFINITY };
      for (look of history) {
        asked.now += look.afterMs;
        // What is read is told to the pass that follows, where something is known already.
        await asked.of("a-1-0", "team", told);
        await nextTurn();
        const words = await asked.of("a-1-0", "team", told);
        if (words === last.words) continue;
        expect(words).toMatch(/^reason [01], more needed$/);
        expect(asked.now - last.at).toBeGreaterThanOrEqual(600_000);
        last = { words, at: asked.now };
      }
    }),
  );
});
