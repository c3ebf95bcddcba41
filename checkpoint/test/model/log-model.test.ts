import { describe, expect, test } from "vitest";
import type { LogRecord } from "../../src/log/record.ts";
import { digestOf, log } from "../log-builder.ts";
import { type Mistake, mistakes, moves } from "./actors.ts";
import { type Actor, broken, intern, openedTwice, type World } from "./world.ts";

const idle = { phase: "start", seen: 0, targets: [], left: 0 } as const;
const restorer = (attempt: number, pod = `pod-${attempt}`, refusals = 0): Actor => {
  return { ...idle, role: "restore", attempt, pod, left: refusals };
};
const worker = (role: "trainer" | "prune" | "compact", attempt: number): Actor => {
  return { ...idle, role, attempt, pod: `pod-${attempt}`, left: 1 };
};
const running: Actor = { ...restorer(1), phase: "opened" };

/** Who is there beside attempt 1, which runs and has three checkpoints. All of them sleep and wake at will. */
const casts: { what: string; actors: Actor[]; reached: string[] }[] = [
  {
    what: "a restore that refuses and rolls back, while the old attempt saves and prunes",
    actors: [running, worker("trainer", 1), worker("prune", 1), restorer(2, "pod-2", 1), worker("trainer", 2)],
    reached: ["restore 2 refusing", "trainer 1 acknowledged", "trainer 1 stopped", "prune 1 pruned", "prune 1 stopped"],
  },
  {
    what: "two pods that believe to be the same attempt, and one of the next",
    actors: [running, worker("trainer", 1), restorer(2), restorer(2, "pod-2-again"), worker("trainer", 2), restorer(3)],
    reached: [
      "restore 2 opened",
      "restore 2 stopped",
      "restore 3 opened",
      "trainer 2 acknowledged",
      "trainer 2 stopped",
    ],
  },
  {
    what: "writers that sleep while the log is pruned under them",
    actors: [
      running,
      worker("trainer", 1),
      worker("prune", 1),
      restorer(2),
      restorer(3),
      { ...worker("compact", 3), left: 0 },
    ],
    reached: ["compact 3 compacting", "trainer 1 stopped", "prune 1 stopped", "a stale writer won a pruned number"],
  },
  {
    what: "an attempt that renews its open and prunes the log while it saves, prunes and is succeeded",
    actors: [running, worker("trainer", 1), worker("prune", 1), worker("compact", 1), restorer(2)],
    reached: [
      "compact 1 renewed",
      "compact 1 compacting",
      "trainer 1 acknowledged",
      "trainer 1 stopped",
      "prune 1 pruned",
      "restore 2 opened",
      "a stale writer won a pruned number",
    ],
  },
];

function start(actors: readonly Actor[]): World {
  const built = log().open(1).commit(1, 10).commit(1, 20).commit(1, 30);
  return {
    all: built.records.map((entry) => intern(recordOf(entry))),
    pruned: 0,
    garbage: [],
    bytes: [10, 20, 30].map((step) => digestOf(step, 1)),
    actors,
  };
}

function recordOf(entry: object): LogRecord {
  if (!("record" in entry)) throw new Error("Cannot start the model from a damaged record");
  return entry.record as LogRecord;
}

type Explored = Readonly<{ states: number; failure: string | null; seen: ReadonlySet<string> }>;

/** Visits every world that some interleaving reaches, until one is broken. */
function explore(actors: readonly Actor[], mistake: Mistake | null): Explored {
  const first = start(actors);
  const visited = new Set([JSON.stringify(first)]);
  const pending = [first];
  const seen = new Set<string>();
  for (let world = pending.pop(); world !== undefined; world = pending.pop()) {
    for (const [index, actor] of world.actors.entries()) {
      for (const next of moves(world, index, mistake)) {
        const key = JSON.stringify(next);
        if (visited.has(key)) continue;
        visited.add(key);
        const failure = broken(next, world) ?? openedTwice(next);
        if (failure !== null) return { states: visited.size, failure, seen };
        seen.add(`${actor.role} ${actor.attempt} ${next.actors[index]?.phase}`);
        if (next.garbage.length > 0) seen.add("a stale writer won a pruned number");
        if (visited.size > maxStates)
          throw new Error(`Cannot explore the model because it has over ${maxStates} states`);
        pending.push(next);
      }
    }
  }
  return { states: visited.size, failure: null, seen };
}

const maxStates = 60_000;

describe("the log in a small world, explored exhaustively", { timeout: 120_000 }, () => {
  test.each(casts)(
    "keeps one history, acknowledged commits and the bytes of candidates with $what (I1, I6)",
    (cast) => {
      const { states, failure, seen } = explore(cast.actors, null);
      expect(failure).toBeNull();
      expect([...seen]).toEqual(expect.arrayContaining(cast.reached));
      expect(states).toBeGreaterThan(1_000);
      process.stdout.write(`log model, ${cast.what}: ${states} states\n`);
    },
  );

  test.each(mistakes)("is broken, and seen to be, when someone %s", (mistake) => {
    expect(casts.some(({ actors }) => explore(actors, mistake).failure !== null)).toBe(true);
  });
});
