import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { countTally, tallyVariable } from "./tally.ts";

const vitest = join(import.meta.dirname, "..", "..", "node_modules", ".bin", "vitest");

describe("what a real run of Vitest is counted as", () => {
  const table: readonly [string, string, [passed: number, failed: number, skipped: number], RegExp | null][] = [
    ["a test that passes", "test('a', () => {});", [1, 0, 0], null],
    ["a test that fails", "test('a', () => { throw new Error('no'); });", [0, 1, 0], /case-1.test.ts > a: no$/],
    [
      "a test left out for a reason",
      "test('a', ({ skip }) => skip('needs root')); test('b', () => {});",
      [1, 0, 1],
      /^1 skipped: needs root$/,
    ],
    ["a test switched off", "test['skip']('a', () => {}); test('b', () => {});", [1, 0, 1], /missing here/],
    ["a file that breaks before its first test", "throw new Error('broken');", [0, 1, 0], /broken/],
    ["a file with no test", "export const nothing = 1;", [0, 1, 0], /No test suite found/],
    [
      "tests whose hook breaks: they never ran, and the hook failed",
      "describe('s', () => { beforeAll(() => { throw new Error('hook'); }); test('a', () => {}); test('b', () => {}); });",
      [0, 3, 0],
      /hook/,
    ],
    [
      "a hook that breaks after its tests",
      "describe('s', () => { afterAll(() => { throw new Error('hook'); }); test('a', () => {}); });",
      [1, 1, 0],
      /hook/,
    ],
    [
      "a test that passes when it is tried again",
      "let tries = 0; test('a', { retry: 1 }, () => { tries += 1; if (tries === 1) throw new Error('once'); });",
      [0, 1, 0],
      /tried again/,
    ],
    [
      "a test that is expected to fail",
      "test['fails']('a', () => { throw new Error('no'); });",
      [0, 1, 0],
      /shows nothing/,
    ],
  ];
  const files = Object.fromEntries(table.map(([, code], index) => [`case-${index}.test.ts`, code]));
  const lines = runVitest(files).split("\n");

  test.each(table.map((row, index) => [...row, index] as const))("%s", (_what, _code, expected, words, index) => {
    const [passed, failed, skipped] = expected;
    const own = lines.filter((line) => line.includes(`case-${index}.test.ts`) || line.includes('"kind":"end"'));
    const count = countTally(own.join("\n"), 0);
    expect(count).toMatchObject({ passed, failed, skipped });
    if (words === null) expect(count.notes).toEqual([]);
    else expect(count.notes.join("\n")).toMatch(words);
  });

  const alone: readonly [string, string, number, RegExp][] = [
    [
      "an error that nothing awaits",
      "test('a', async () => { void Promise.reject(new Error('unseen')); await new Promise((next) => setImmediate(next)); });",
      1,
      /outside of any test: unseen/,
    ],
    [
      "a worker that is killed",
      "test('a', () => {}); test('b', () => { process.kill(process.pid, 'SIGKILL'); });",
      0,
      /it never came to its end/,
    ],
    [
      "a test that keeps the others from running",
      "test['only']('a', () => {}); test('b', () => {});",
      0,
      /^1 skipped/m,
    ],
  ];
  test.each(alone)("%s", (_what, code, passed, words) => {
    const count = countTally(runVitest({ "one.test.ts": code }), 1);
    expect(count.passed).toBe(passed);
    expect(count.failed).toBeGreaterThan(0);
    expect(count.notes.join("\n")).toMatch(words);
  });
});

describe("a run that leaves something out is never clean", () => {
  const passed = '{"kind":"test","name":"a","outcome":"passed"}\n';
  const end = '{"kind":"end","reason":"passed"}\n';
  const table: readonly [string, string, number, string][] = [
    ["that wrote nothing", "", 0, "the tests came to no end: exit code 0"],
    ["that died after a test", passed, 1, "the tests came to no end: exit code 1"],
    ["that found no test", end, 0, "not one test was found"],
    ["that ended with an exit code and no failure", passed + end, 3, "exit code 3, and no test says why"],
    [
      "whose last line was cut",
      `${passed}${end}{"kind":"te`,
      0,
      'what the tests wrote down: it cannot be read: {"kind":"te',
    ],
  ];
  test.each(table)("one %s", (_what, text, exitCode, note) => {
    expect(countTally(text, exitCode)).toMatchObject({ failed: 1, notes: [note] });
  });

  test("a clean one has no failure", () => {
    expect(countTally(passed + end, 0)).toEqual({ passed: 1, failed: 0, skipped: 0, notes: [] });
  });
});

/** Runs files under this project's Vitest with our reporter; gives back what it wrote down. */
function runVitest(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), "trainingrun-tally-"));
  try {
    mkdirSync(join(directory, "tests"));
    for (const [name, code] of Object.entries(files)) writeFileSync(join(directory, "tests", name), code);
    const tally = join(directory, "tally.jsonl");
    const reporter = join(import.meta.dirname, "tally-reporter.ts");
    const args = [
      "run",
      "--root",
      join(directory, "tests"),
      "--globals",
      "--allowOnly=false",
      `--reporter=${reporter}`,
    ];
    spawnSync(vitest, args, { env: { ...process.env, [tallyVariable]: tally } });
    return readFileSync(tally, "utf8");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
