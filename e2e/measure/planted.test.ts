import { describe, expect, test } from "vitest";
import { type PlantedRow, plantedResult } from "./planted.ts";
import { holds } from "./result.ts";

const caught: PlantedRow = { patch: "a.patch", caught: true, by: "a test", seconds: 2 };
const enough = Array.from({ length: 30 }, (_, index) => ({ ...caught, patch: `${index}.patch` }));

describe("the result of planted mistakes", () => {
  test("holds where each of at least 30 is caught", () => {
    const result = plantedResult(enough);
    expect(holds(result)).toBe(true);
    expect(result.figures).toMatchObject({ planted: 30, caught: 30, uncaught: [], medianSeconds: 2 });
    expect(holds(plantedResult(enough.slice(1)))).toBe(false);
  });

  test("names what was not caught, and what nobody has tried to catch", () => {
    const missed = { ...caught, patch: "b.patch", caught: false, by: "a test passes with it" };
    const unplayed = { ...caught, patch: "c.patch", caught: null, by: "check S6", seconds: 0 };
    expect(holds(plantedResult([...enough, missed]))).toBe(false);
    expect(holds(plantedResult([...enough, unplayed]))).toBe(false);
    expect(plantedResult([...enough, missed, unplayed]).figures).toMatchObject({
      planted: 32,
      caught: 30,
      uncaught: ["b.patch: a test passes with it"],
      notPlayed: ["c.patch: check S6"],
    });
  });
});
