import { readdir, readFile, readlink, rename, symlink, unlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pathIn, restore, resumedAt, save, savedRun, temporaryDirectory } from "../test/fixture.ts";
import { readLog } from "./log/read.ts";
import { pointNames } from "./names.ts";
import { prune } from "./prune.ts";
import type { DirectoryStore } from "./store/directory-store.ts";

const policy = { last: 2, best: { metric: "loss", mode: "Min" as const, count: 1 }, everySteps: null, maxBytes: null };
const loss = (value: string) => ({ metrics: [{ name: "loss", value }] });

/** Moves the names by the log as it is, where these steps are verified. */
async function point(store: DirectoryStore, steps: readonly number[]): Promise<void> {
  const { state } = await readLog(store);
  const sound = state.checkpoints.filter(({ step }) => steps.includes(step)).map(({ digest }) => digest);
  await pointNames(store, { state, verified: new Set(sound), policy });
}

/** The step that a name leads to, through the file system, as a person's tool would. */
async function stepAt(store: DirectoryStore, name: string): Promise<unknown> {
  return JSON.parse(await readFile(join(store.root, name, "state.json"), "utf8")).step;
}

describe("the names for people on a volume", () => {
  test("lead to the newest and the best that are verified, and move with them", async () => {
    const { store } = await savedRun([]);
    await save(store, 1, 10, loss("0.1"));
    await point(store, [10]);
    expect(await readdir(store.root)).toEqual(["best", "data", "latest", "log"]);
    expect(await readlink(join(store.root, "latest"))).toBe("data/step-000000000010-a0001");
    await save(store, 1, 20, loss("0.2"));
    await save(store, 1, 30, loss("0.05"));
    await point(store, [10, 20]);
    expect([await stepAt(store, "latest"), await stepAt(store, "best")]).toEqual([20, 10]);
    await point(store, [10, 20, 30]);
    expect([await stepAt(store, "latest"), await stepAt(store, "best")]).toEqual([30, 30]);
  });

  test("never lead to what retention removes", async () => {
    const { store, saved } = await savedRun([]);
    for (const [step, value] of [
      [10, "0.1"],
      [20, "0.2"],
      [30, "0.05"],
      [40, "0.3"],
    ] as const)
      saved.push(await save(store, 1, step, loss(value)));
    await point(store, [10, 20, 40]);
    const verified = [0, 1, 3].map((index) => saved[index]?.manifest.digest ?? "");
    const { removed } = await prune(store, { attempt: 1, policy, verified, recorded: [], now: "2026-01-01T00:00:00Z" });
    expect(removed).toEqual([]);
    expect([await stepAt(store, "latest"), await stepAt(store, "best")]).toEqual([40, 10]);
  });

  test("are away where there is nothing to lead to", async () => {
    const { store } = await savedRun([10]);
    await point(store, [10]);
    await point(store, []);
    expect(await readdir(store.root)).toEqual(["data", "log"]);
  });

  test("are put right when somebody moved them, and mean nothing to a restore", async () => {
    const { store } = await savedRun([10, 20]);
    await point(store, [10, 20]);
    await unlink(join(store.root, "latest"));
    await symlink("/etc", join(store.root, "latest"));
    expect(resumedAt(await restore(store, 2))).toBe(20);
    await point(store, [10, 20]);
    expect(await readlink(join(store.root, "latest"))).toBe("data/step-000000000020-a0001");
  });

  test("are no checkpoints: a link in the place of one is not followed, even to its very bytes (I12)", async () => {
    const { store, saved } = await savedRun([10, 20]);
    const directory = saved[1]?.directory ?? "";
    const elsewhere = join(await temporaryDirectory(), directory);
    await rename(pathIn(store, directory), elsewhere);
    await symlink(elsewhere, pathIn(store, directory));
    const outcome = await restore(store, 2);
    expect(resumedAt(outcome)).toBe(10);
    expect(outcome).toMatchObject({ restored: { refused: [{ step: 20, reason: "NotAFile" }] } });
  });
});
