import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { plantedBugs } from "../planted/catalogue.ts";
import { KeptRows, type PlantedRow } from "../planted/kept-rows.ts";
import { tableOf } from "../planted/table.ts";
import { plantedResult } from "./planted.ts";
import { holds } from "./result.ts";

const caught: PlantedRow = {
  patch: "a.patch",
  caught: true,
  by: "a test",
  seconds: 2,
  simulated: { check: "S8", seeds: 3 },
};
const enough = Array.from({ length: 30 }, (_, index) => ({ ...caught, patch: `${index}.patch` }));

describe("the result of planted mistakes", () => {
  test("holds where each of at least 30 is caught", () => {
    const result = plantedResult(enough);
    expect(holds(result)).toBe(true);
    expect(result.figures).toMatchObject({ planted: 30, caught: 30, uncaught: [], medianSeconds: 2 });
    expect(holds(plantedResult(enough.slice(1)))).toBe(false);
  });

  test("names what was not caught", () => {
    const missed = { ...caught, patch: "b.patch", caught: false, by: "a test passes with it" };
    expect(holds(plantedResult([...enough, missed]))).toBe(false);
    expect(plantedResult([...enough, missed]).figures).toMatchObject({
      planted: 31,
      caught: 30,
      uncaught: ["b.patch: a test passes with it"],
    });
  });

  test("tells after how many seeds the simulation notices one, and of those that it does not", () => {
    const unseen = { ...caught, patch: "c.patch", simulated: { check: null, seeds: 150 } };
    const result = plantedResult([...enough, unseen]);
    expect(holds(result)).toBe(true);
    expect(result.figures).toMatchObject({ simulationCaught: 30, simulationMedianSeeds: 3, simulationMostSeeds: 3 });
  });
});

describe("the rows of a measure that was stopped", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "trainingrun-rows-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const path = () => join(directory, "below/rows.jsonl");

  test("are there for the next one, and gone where the tree has changed", () => {
    new KeptRows(path(), "tree").add(caught);
    expect(new KeptRows(path(), "tree").of("a.patch")).toEqual(caught);
    expect(new KeptRows(path(), "tree").of("b.patch")).toBeUndefined();
    expect(new KeptRows(path(), "another").of("a.patch")).toBeUndefined();
  });

  test("are read although the last one is half", () => {
    new KeptRows(path(), "tree").add(caught);
    appendFileSync(path(), '\n{"tree":"tr');
    const rows = new KeptRows(path(), "tree");
    rows.add({ ...caught, patch: "b.patch" });
    expect(["a.patch", "b.patch"].map((patch) => new KeptRows(path(), "tree").of(patch)?.caught)).toEqual([true, true]);
  });
});

describe("the table of mistakes", () => {
  const row = (patch: string, over: Partial<PlantedRow> = {}) => ({ ...caught, patch, ...over });

  test("has each mistake of the catalogue, with what it is noticed by", () => {
    const [first, second] = plantedBugs.map(({ patch }) => patch);
    const rows = [
      row(first ?? ""),
      row(second ?? "", { caught: false, by: "nobody", simulated: { check: null, seeds: 9 } }),
    ];
    const lines = tableOf(rows).split("\n").slice(2);
    expect(lines).toHaveLength(plantedBugs.length);
    expect(lines[0]).toContain("S8 after 3 seeds");
    expect(lines[1]).toContain("not caught: nobody | not in 9 seeds");
    for (const [index, { mistake }] of plantedBugs.entries()) expect(lines[index]).toContain(mistake);
  });
});
