import { rm } from "node:fs/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { mistakenScenarios } from "../planted/mistakes.ts";
import { type Case, casesOf, playCase } from "./grid.ts";
import { scenarioNamed, scenarios } from "./scenarios.ts";
import { whyNotTraced } from "./strace.ts";
import { makeWorkspace } from "./workspace.ts";

const impossible = whyNotTraced();

/** So many fields of each scenario's grid are played here; `npm run measure -- crash-grid` plays all of them. */
const sampled = 4;

const aside = /^\/data\/\.settling-[0-9a-f]+-step-0+30-a0001$/;

describe("a process that is killed before a system call, or whose call fails", { timeout: 120_000 }, () => {
  test.for(scenarios)("leaves the previous state or the new one, whole: $what (I3, I6)", async (scenario, context) => {
    context.skip(impossible !== null, impossible ?? "");
    const cases = await casesOf(scenario, await workspace());
    expect(cases.length).toBeGreaterThan(40);
    expect(await problemsOf(spread(cases, sampled))).toEqual([]);
  });

  test("refuses what is damaged for its bytes, whatever closing the file answers", async (context) => {
    context.skip(impossible !== null, impossible ?? "");
    const cases = await casesOf(scenarioNamed("refusal"), await workspace());
    const damaged = /step-0+30-a0001\/model\.bin$/;
    const closes = cases.filter(({ fault, call, path }) => fault === "EIO" && call === "close" && damaged.test(path));
    expect(closes.length).toBeGreaterThan(1);
    expect(await problemsOf(closes)).toEqual([]);
  });

  test("leaves no second copy where a directory could not be given its name back, and was saved anew", async (context) => {
    context.skip(impossible !== null, impossible ?? "");
    const cases = await casesOf(scenarioNamed("settle"), await workspace());
    const back = cases.filter(({ fault, call, path }) => fault !== "KILL" && call === "rename" && aside.test(path));
    expect(back.map(({ fault }) => fault)).toEqual(["EIO", "ENOSPC"]);
    expect(await problemsOf(back)).toEqual([]);
  });

  test("refuses nothing for one error that kept it from being mended", async (context) => {
    context.skip(impossible !== null, impossible ?? "");
    const cases = await casesOf(scenarioNamed("repair"), await workspace());
    const mending = cases.filter(({ fault, call, path }) => {
      const isOfSource = call === "openat" && path.startsWith("/mirror/data/step-") && path.endsWith("model.bin");
      return fault === "EIO" && (isOfSource || (call === "rename" && path.includes("0030-a0001")));
    });
    expect(mending.length).toBeGreaterThan(3);
    expect(await problemsOf(mending)).toEqual([]);
  });

  test.for(mistakenScenarios)("is found out where it $name", async (scenario, context) => {
    context.skip(impossible !== null, impossible ?? "");
    const kills = (await casesOf(scenario, await workspace())).filter(({ fault }) => fault === "KILL");
    let found: string[] = [];
    // The last calls first: the mistakes are in the order of the last acts.
    for (const one of kills.toReversed()) {
      found = await problemsOf([one]);
      if (found.length > 0) break;
    }
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/ended|is a candidate|resumes from|cannot start/);
  });
});

async function problemsOf(cases: readonly Case[]): Promise<string[]> {
  const problems: string[] = [];
  for (const one of cases) {
    const { problem } = await playCase(one, await workspace());
    if (problem !== null) problems.push(`${one.fault} at ${one.call} ${one.when} of ${one.path}: ${problem}`);
  }
  return problems;
}

/** As many as asked for, evenly from the first on. */
function spread<T>(all: readonly T[], count: number): T[] {
  return Array.from({ length: count }, (_, index) => all[Math.floor((index * all.length) / count)]).flatMap(
    (one) => one ?? [],
  );
}

async function workspace(): Promise<string> {
  const directory = await makeWorkspace("crash-grid-");
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
