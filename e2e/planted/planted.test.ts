import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { applyPatch, PatchDoesNotApplyError, parsePatch } from "./apply-patch.ts";
import { plantedBugs } from "./catalogue.ts";
import { patchDirectory, plantedSources, root } from "./planted-sources.ts";
import { outcomeOf } from "./run-planted.ts";

const text = (path: string) => readFileSync(join(root, path), "utf8");
const lines = (...lines: readonly string[]) => `${lines.join("\n")}\n`;

describe("the planted mistakes", () => {
  test.each(plantedBugs)("$patch applies to the present code, and what it makes can be run", ({ patch }) => {
    const sources = plantedSources(patch);
    expect(sources.size).toBeGreaterThan(0);
    for (const [path, source] of sources) {
      expect(source).not.toBe(text(relative(root, path)));
      // Throws where the text is no TypeScript, or holds types that cannot be stripped.
      expect(stripTypeScriptTypes(source)).not.toBe("");
    }
  });

  test("are those of the folder, each once, and 30 or more", () => {
    const listed = plantedBugs.map(({ patch }) => patch);
    expect(listed.toSorted()).toEqual(readdirSync(patchDirectory).toSorted());
    expect(new Set(plantedBugs.map(({ mistake }) => mistake)).size).toBe(listed.length);
    expect(listed.length).toBeGreaterThanOrEqual(30);
  });

  test("change programs, never a test or a model that has to notice them", () => {
    for (const { patch } of plantedBugs) {
      for (const { path } of parsePatch(readFileSync(join(patchDirectory, patch), "utf8"))) {
        expect(path).toMatch(/^(operator|agent|checkpoint|trainer|cli)\/src\//);
        expect(path).not.toMatch(/\.test\.ts$/);
      }
    }
  });

  test("have each a test that is there and has to notice them", () => {
    for (const { test } of plantedBugs) expect(text(test.file)).toContain(test.title);
  });
});

describe("a patch", () => {
  const patch = lines("--- a/x.ts", "+++ b/x.ts", "@@ -9,3 +9,3 @@", " before", "-old", "+new", " after");

  test("is applied where its lines stand, whatever its header says", () => {
    const patched = applyPatch(patch, () => lines("first", "before", "old", "after"));
    expect(patched.get("x.ts")).toBe(lines("first", "before", "new", "after"));
  });

  test("of several hunks and files is applied whole", () => {
    const more = `${patch}${lines("@@ -20,2 +20,1 @@", " last", "-gone")}${patch.replaceAll("x.ts", "y.ts")}`;
    const patched = applyPatch(more, () => lines("before", "old", "after", "last", "gone"));
    expect(patched.get("x.ts")).toBe(lines("before", "new", "after", "last"));
    expect(patched.get("y.ts")).toBe(lines("before", "new", "after", "last", "gone"));
  });

  test("does not apply where its lines are gone, or stand twice", () => {
    expect(() => applyPatch(patch, () => lines("before", "older", "after"))).toThrow(PatchDoesNotApplyError);
    const twice = lines("before", "old", "after", "before", "old", "after");
    expect(() => applyPatch(patch, () => twice)).toThrow("there 2 times");
  });

  test("is refused where it is no unified diff", () => {
    expect(() => parsePatch("nothing\n")).toThrow(SyntaxError);
    expect(() => parsePatch(lines("--- a/x.ts", "+++ b/x.ts", "@@ -1 +1 @@", "?what"))).toThrow(SyntaxError);
  });
});

describe("a run of tests with a mistake", () => {
  const result = (status: string) => ({ status, fullName: `it ${status}` });

  test("tells which tests failed, and which passed", () => {
    const report = {
      testResults: [{ message: "", assertionResults: [result("failed"), result("passed"), result("skipped")] }],
    };
    expect(outcomeOf(report)).toEqual({ kind: "Ran", passed: ["it passed"], failed: ["it failed"] });
  });

  test("that could not load its file, or found no test of the title, shows nothing", () => {
    const broken = { testResults: [{ message: "SyntaxError: x", assertionResults: [] }] };
    expect(outcomeOf(broken)).toEqual({ kind: "NotRun", why: "SyntaxError: x" });
    expect(outcomeOf({ testResults: [{ message: "", assertionResults: [result("skipped")] }] })).toEqual({
      kind: "NotRun",
      why: "no test has that title",
    });
  });
});
