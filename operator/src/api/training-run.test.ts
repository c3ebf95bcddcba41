import { describe, expect, test } from "vitest";
import { specWith, storedRun } from "../../test/run-builder.ts";
import { schemaCases } from "../../test/schema-cases.ts";
import { durationSeconds } from "./duration.ts";
import { quantityBytes } from "./quantity.ts";
import { parseTrainingRun } from "./training-run.ts";

describe("a TrainingRun, read by the operator", () => {
  test.each(schemaCases.filter(({ refusal }) => refusal === null))("takes $title", ({ name = "mnist", spec }) => {
    expect(parseTrainingRun(storedRun({ metadata: { name }, spec }))).toMatchObject({ kind: "Run" });
  });

  test.each(schemaCases.filter(({ refusal }) => refusal !== null))(
    "refuses $title",
    ({ name = "mnist", spec, refusal }) => {
      const parsed = parseTrainingRun(storedRun({ metadata: { name }, spec }));
      expect(parsed).toEqual({ kind: "Unreadable", message: expect.stringContaining(refusal ?? "") });
    },
  );

  test("fills what was left out", () => {
    const parsed = parseTrainingRun(storedRun());
    expect(parsed.kind === "Run" && parsed.run.spec).toEqual({
      ...specWith(),
      workers: 1,
      checkpoint: {
        ...(specWith().checkpoint as object),
        framework: "sdk",
        interval: { duration: "5m" },
        retention: { last: 3 },
      },
      resume: { partial: [], replaySteps: 0, unhealthy: "Skip", environmentMismatch: "Warn", noneVerified: "Fail" },
      retry: { failures: 3, backoff: { initialSeconds: 10, maxSeconds: 300 }, disruptions: 0, rules: [] },
      nodeLost: { policy: "Wait" },
      suspend: false,
      deletionPolicy: "Retain",
    });
  });

  test.each([
    ["90s", 90],
    ["1h30m", 5400],
    ["250ms", 0.25],
    ["1.5h", 5400],
  ])("%s is %d seconds", (text, seconds) => expect(durationSeconds(text)).toBe(seconds));

  test.each([
    ["15Gi", 15 * 2 ** 30],
    ["500M", 5e8],
    ["1.5k", 1500],
    [7, 7],
  ] as const)("%s is %d bytes", (quantity, bytes) => expect(quantityBytes(quantity)).toBe(bytes));
});
