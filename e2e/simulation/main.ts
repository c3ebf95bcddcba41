/**
 * Plays the simulation by hand:
 *
 *     node e2e/simulation/main.ts seed 4711 [--calm] [--trace 200]     one play, with what came of it
 *     node e2e/simulation/main.ts many --seeds 1000 [--from 1] [--workers 2] [--calm]
 */
import { parseArgs } from "node:util";
import { fileReplacements } from "./host/files.ts";
import { installHost } from "./host/install.ts";
import { playMany } from "./pool.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    calm: { type: "boolean", default: false },
    trace: { type: "string", default: "0" },
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    workers: { type: "string", default: "2" },
  },
});
const [command, seed] = positionals;
if (command === "seed" && seed !== undefined) await playOne(Number(seed));
else if (command === "many") await playSeeds();
else throw new Error("Cannot play because the command must be `seed N` or `many`");

async function playOne(number: number): Promise<void> {
  installHost({ models: fileReplacements() });
  const { play, planOf } = await import("./play.ts");
  const { judge } = await import("./judge/oracle.ts");
  const { allChecks } = await import("./judge/checks.ts");
  const plan = planOf(number, { isCalm: values.calm });
  const { history, expected, lines, ...played } = await play(plan, { keep: Number(values.trace) });
  for (const line of lines) console.log(line);
  console.log(JSON.stringify(plan, null, 1));
  console.log(played, { events: history.events.length }, judge(history, expected, allChecks));
}

async function playSeeds(): Promise<void> {
  const asked = Array.from({ length: Number(values.seeds) }, (_, index) => ({
    seed: Number(values.from) + index,
    isCalm: values.calm,
  }));
  const began = performance.now();
  const answers = await playMany(asked, { workers: Number(values.workers) });
  const violations = new Map<string, number[]>();
  const note = (what: string, { asked: { seed: of } }: (typeof answers)[number]) =>
    violations.set(what, [...(violations.get(what) ?? []), of]);
  for (const answer of answers) {
    if ("error" in answer) note(answer.error.split("\n")[0] ?? "", answer);
    else for (const check of new Set(answer.judgement.violations.map((each) => each.check))) note(check, answer);
  }
  const shown = new Set<string>();
  for (const answer of answers) {
    if ("error" in answer) continue;
    for (const { check, what, atMs } of answer.judgement.violations) {
      if (shown.has(check)) continue;
      shown.add(check);
      console.log(`${check} at ${atMs.toFixed(0)} ms in seed ${answer.asked.seed}: ${what}`);
    }
  }
  for (const [what, of] of violations) console.log(`${what}: ${of.length} seeds, such as ${of.slice(0, 12).join(" ")}`);
  const byCost = answers.map((answer) => answer.cpuMs).toSorted((a, b) => a - b);
  const ms = byCost.reduce((sum, each) => sum + each, 0) / answers.length;
  const seconds = (performance.now() - began) / 1_000;
  const median = byCost[byCost.length >> 1] ?? 0;
  console.log(
    `${answers.length} seeds in ${seconds.toFixed(1)} s; of CPU ${ms.toFixed(1)} ms a seed, median ${median.toFixed(1)} ms`,
  );
}
