import { expect, test } from "vitest";
import { Refusals } from "./refusals.ts";

const run = { uid: "run", key: "team/mnist" };
const refusal = {
  kind: "Pod",
  name: "mnist-1-0",
  status: 403,
  reason: "Forbidden",
  message: "exceeded quota",
  generation: 1,
} as const;
const at = (instant: number) => ({ ...refusal, at: instant, firstAt: instant, inVainSince: instant });

test("a refusal after another of the same object says when the first of them was, until the object stands", () => {
  const refusals = new Refusals();
  refusals.note(run, at(1));
  refusals.note(run, at(5));
  expect(refusals.of("run")).toEqual([{ ...refusal, at: 5, firstAt: 1, inVainSince: 1, crowd: 1 }]);
  refusals.clear("run", refusal.name);
  refusals.note(run, at(9));
  expect(refusals.of("run")).toEqual([{ ...at(9), crowd: 1 }]);
});

test("what was refused to attempts long ago is forgotten, and what is refused again and again is not", () => {
  const refusals = new Refusals();
  for (let attempt = 1; attempt <= 1_000; attempt += 1) {
    refusals.note(run, { ...at(attempt), name: "claim" });
    refusals.note(run, { ...at(attempt), name: `mnist-${attempt}-0` });
  }
  expect(refusals.of("run").length).toBe(8);
  expect(refusals.of("run")).toContainEqual({ ...at(1_000), name: "claim", firstAt: 1, inVainSince: 1, crowd: 1 });
  expect(refusals.of("run")).toContainEqual({ ...at(1_000), name: "mnist-1000-0", crowd: 1 });
});

test("what an edit asks for has been refused in vain only since then", () => {
  const refusals = new Refusals();
  refusals.note(run, at(1));
  refusals.note(run, { ...at(5), generation: 2 });
  expect(refusals.of("run")).toEqual([{ ...at(5), generation: 2, firstAt: 1, crowd: 1 }]);
});

test("where something goes, what a quota refuses there is looked at again, and as if newly refused", () => {
  const refusals = new Refusals();
  const policy = { ...at(1), name: "mnist", message: "runs are not welcome here" };
  refusals.note(run, at(1));
  refusals.note(run, policy);
  refusals.note({ uid: "other", key: "other/mnist" }, at(1));
  refusals.note({ uid: "unwelcome", key: "team/unwelcome" }, policy);
  expect(refusals.roomIn("elsewhere", 10_000)).toEqual([]);
  expect(refusals.roomIn("team", 10_000)).toEqual(["team/mnist"]);
  expect(refusals.of("run")).toMatchObject([{ ...at(1), inVainSince: 10_000 }, policy]);
  expect(refusals.of("other")).toMatchObject([at(1)]);
  refusals.note(run, at(20_000));
  expect(refusals.of("run")).toContainEqual({ ...at(20_000), firstAt: 1, inVainSince: 10_000, crowd: 1 });
});

test("what goes while a run waits to be tried for what went before it puts that off no further", () => {
  const refusals = new Refusals();
  refusals.note(run, at(1));
  const woken = Array.from({ length: 60 }, (_, second) => refusals.roomIn("team", (second + 1) * 1_000));
  expect(woken).toEqual([["team/mnist"], ...Array.from({ length: 59 }, () => [])]);
  expect(refusals.of("run")).toMatchObject([{ inVainSince: 1_000 }]);
  refusals.note(run, at(60_500));
  expect([refusals.roomIn("team", 60_900), refusals.roomIn("team", 61_000)]).toEqual([[], ["team/mnist"]]);
});

const away = { ...at(1), status: 500, message: 'failed calling webhook "pods": connect: connection refused' };
const forbidden = { ...at(1), message: 'User "operator" cannot create resource "pods"' };

test("each says how many runs wait for the same to come back by itself, as long as they are there", () => {
  const refusals = new Refusals();
  for (let each = 0; each < 50; each += 1) refusals.note({ uid: `run-${each}`, key: `team-${each}/mnist` }, away);
  refusals.note({ uid: "full", key: "team-0/full" }, at(1));
  expect(refusals.of("run-0")).toMatchObject([{ crowd: 50 }]);
  expect(refusals.of("full")).toMatchObject([{ crowd: 1 }]);
  for (let each = 1; each < 49; each += 1) refusals.forget(`run-${each}`);
  refusals.clear("run-49", away.name);
  expect(refusals.of("run-0")).toMatchObject([{ crowd: 1 }]);
});

test("what one namespace is refused, or by one webhook, keeps nobody waiting for another", () => {
  const refusals = new Refusals();
  for (let each = 0; each < 50; each += 1) {
    refusals.note({ uid: `taken-${each}`, key: `crowded/${each}` }, { ...at(1), status: 409 });
    refusals.note({ uid: `forbidden-${each}`, key: `crowded/other-${each}` }, forbidden);
  }
  const other = { ...away, message: 'failed calling webhook "claims": connect: connection refused' };
  const rows = [
    ["by-name", "team/a", { ...at(1), status: 409 }],
    ["by-webhook", "team/b", away],
    ["by-another", "team/c", other],
  ] as const;
  for (const [uid, key, refused] of rows) refusals.note({ uid, key }, refused);
  expect(refusals.of("taken-0")).toMatchObject([{ crowd: 100 }]);
  for (const [uid] of rows) expect(refusals.of(uid)).toMatchObject([{ crowd: 1 }]);
});

test("a run of which several objects are refused is one, until the last of them stands", () => {
  const refusals = new Refusals();
  for (const name of ["claim", "mnist-1-0"]) refusals.note(run, { ...away, name });
  refusals.note({ uid: "other", key: "team/other" }, away);
  expect(refusals.of("run")).toMatchObject([{ crowd: 2 }, { crowd: 2 }]);
  refusals.clear("run", "claim");
  expect(refusals.of("run")).toMatchObject([{ crowd: 2 }]);
  refusals.clear("run", "mnist-1-0");
  expect(refusals.of("other")).toMatchObject([{ crowd: 1 }]);
});

test("how many wait is told without a look at each of them", () => {
  const refusals = new Refusals();
  let looks = 0;
  for (let each = 0; each < 1_000; each += 1) {
    const watched = {
      ...forbidden,
      get message() {
        looks += 1;
        return forbidden.message;
      },
    };
    refusals.note({ uid: `run-${each}`, key: `team/${each}` }, watched);
  }
  looks = 0;
  expect(refusals.of("run-0")).toMatchObject([{ crowd: 1_000 }]);
  expect(looks).toBeGreaterThan(0);
  expect(looks).toBeLessThan(10);
});
