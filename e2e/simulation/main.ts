/**
 * Plays the simulation by hand; docs/simulation.md says more. Exits 1 where a promise was broken.
 *
 *     node e2e/simulation/main.ts seed 4711 [--plan FILE] [--trace 200] [--calm]     one play, with what came of it
 *     node e2e/simulation/main.ts shrink 4711 [--plan FILE] [--plays 200] [--calm]   the least plan that breaks the same
 *     node e2e/simulation/main.ts many [--seeds 100] [--from 1] [--workers 2] [--calm]
 *
 * With `--plan` that plan is played and not the one that the seed draws. The plan that `shrink` comes to is all that it
 * writes to its standard output.
 */
import { parseArgs } from "node:util";
import { commitOfTree } from "../measure/commit.ts";
import { fileReplacements } from "./host/files.ts";
import { installHost } from "./host/install.ts";
import type { Plan } from "./plan/draw.ts";
import { playMany } from "./pool.ts";
import { readPlan } from "./regressions.ts";
import { shrinkInNode } from "./shrink-in-node.ts";
import type { Answer } from "./worker.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    calm: { type: "boolean", default: false },
    plan: { type: "string" },
    trace: { type: "string", default: "0" },
    plays: { type: "string", default: "200" },
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    workers: { type: "string", default: "2" },
  },
});
const [command, given] = positionals;
const isCalm = values.calm;
const isKept = await playCommand();
process.exitCode = isKept ? 0 : 1;

/** Does what was asked for; says whether every promise was kept. */
async function playCommand(): Promise<boolean> {
  if (command === "many") return await playSeeds();
  const seed = Number(given);
  if (given === undefined || !Number.isSafeInteger(seed) || (command !== "seed" && command !== "shrink")) {
    throw new Error("Cannot play because the command must be `seed N`, `shrink N` or `many`");
  }
  const plan = values.plan === undefined ? undefined : readPlan(values.plan);
  return command === "seed" ? await playOne(seed, plan) : await shrinkOne(seed, plan);
}

async function playOne(seed: number, given: Plan | undefined): Promise<boolean> {
  installHost({ models: fileReplacements() });
  const { play, planOf } = await import("./play.ts");
  const { judge } = await import("./judge/oracle.ts");
  const { allChecks } = await import("./judge/checks.ts");
  const plan = given ?? planOf(seed, { isCalm });
  const { history, expected, lines, ...played } = await play(plan, { keep: Number(values.trace) });
  for (const line of lines) console.log(line);
  const { violations, evaluations } = judge(history, expected, allChecks);
  console.log(JSON.stringify(plan, null, 1));
  console.log({ commit: commitOfTree(), ...played, events: history.events.length, evaluations });
  for (const { check, guards, atMs, what } of violations) {
    console.log(`${check} (${guards}) at ${atMs.toFixed(0)} ms: ${what}`);
  }
  return violations.length === 0 && played.leaked.length === 0;
}

async function shrinkOne(seed: number, given: Plan | undefined): Promise<boolean> {
  const { planOf } = await import("./play.ts");
  const plan = given ?? planOf(seed, { isCalm });
  const shrunk = await shrinkInNode(plan, { mostPlays: Number(values.plays), told: (line) => console.error(line) });
  if (shrunk === null) {
    console.error(`The plan of seed ${seed} breaks no promise (${commitOfTree()})`);
    return true;
  }
  const { faults, scenario } = shrunk.plan;
  console.log(JSON.stringify(shrunk.plan, null, 1));
  console.error(`${shrunk.check} is still broken by ${faults.length} faults and ${scenario.runs.length} runs,`);
  console.error(`found in ${shrunk.plays} plays of ${commitOfTree()}. With the plan in a file it is played by`);
  console.error(`  node e2e/simulation/main.ts seed ${seed} --plan FILE --trace 200`);
  return false;
}

async function playSeeds(): Promise<boolean> {
  const asked = Array.from({ length: Number(values.seeds) }, (_, index) => ({
    seed: Number(values.from) + index,
    isCalm,
  }));
  const began = performance.now();
  const answers = await playMany(asked, { workers: Number(values.workers) });
  const seconds = (performance.now() - began) / 1_000;
  const seeds = new Map<string, number[]>();
  for (const answer of answers) {
    for (const [check, words] of brokenBy(answer)) {
      const known = seeds.get(check);
      if (known === undefined) console.log(`${check} in seed ${answer.asked.seed}: ${words}`);
      seeds.set(check, [...(known ?? []), answer.asked.seed]);
    }
  }
  for (const [check, of] of seeds) console.log(`${check}: ${of.length} seeds, such as ${of.slice(0, 12).join(" ")}`);
  const byCost = answers.map(({ cpuMs }) => cpuMs).toSorted((a, b) => a - b);
  const meanMs = byCost.reduce((sum, each) => sum + each, 0) / answers.length;
  const medianMs = byCost[byCost.length >> 1] ?? 0;
  console.log(
    `${answers.length} seeds in ${seconds.toFixed(1)} s; of CPU ${meanMs.toFixed(1)} ms a seed, median ${medianMs.toFixed(1)} ms`,
  );
  return seeds.size === 0;
}

/** What a play has broken, each check once, with what was seen. */
function brokenBy(answer: Answer): ReadonlyMap<string, string> {
  if ("error" in answer) return new Map([[answer.error.split("\n")[0] ?? "", answer.error]]);
  const first = answer.judgement.violations.toReversed().map(({ check, atMs, what }): [string, string] => {
    return [check, `at ${atMs.toFixed(0)} ms ${what}`];
  });
  return new Map([...first, ...answer.leaked.map((what): [string, string] => ["leak", what])]);
}
