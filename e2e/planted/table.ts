import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parsePatch } from "./apply-patch.ts";
import { plantedBugs } from "./catalogue.ts";
import type { PlantedRow } from "./kept-rows.ts";
import { patchDirectory, root } from "./planted-sources.ts";

const page = join(root, "docs/simulation.md");
const [begin, end] = ["<!-- planted: written by `npm run measure -- planted` -->", "<!-- planted end -->"];

/** Writes the table of all mistakes into the page, in the place of the one that is there. */
export function writeTable(rows: readonly PlantedRow[]): void {
  const text = readFileSync(page, "utf8");
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Cannot write the table because ${page} has no place for it: ${begin}`);
  writeFileSync(page, `${text.slice(0, from + begin.length)}\n${tableOf(rows)}\n${text.slice(to)}`);
}

/** The table in Markdown: one line for each mistake of the catalogue, in its order. */
export function tableOf(rows: readonly PlantedRow[]): string {
  const byPatch = new Map(rows.map((row) => [row.patch, row]));
  const lines = plantedBugs.map(({ patch, mistake, test }) => {
    const row = byPatch.get(patch);
    const by = row === undefined || row.caught ? `${test.title} (\`${test.file}\`)` : `not caught: ${row.by}`;
    return `| ${mistake} | ${filesOf(patch).join(", ")} | ${by} | ${row === undefined ? "not played" : simulatedWords(row)} |`;
  });
  return ["| mistake | planted in | the test that fails | the simulation |", "|---|---|---|---|", ...lines].join("\n");
}

function filesOf(patch: string): readonly string[] {
  return parsePatch(readFileSync(join(patchDirectory, patch), "utf8")).map(({ path }) => `\`${path}\``);
}

function simulatedWords({ simulated: { check, seeds } }: PlantedRow): string {
  return check === null ? `not in ${seeds} seeds` : `${check} after ${seeds} ${seeds === 1 ? "seed" : "seeds"}`;
}
