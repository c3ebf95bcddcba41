import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { digestOf, refusedOf, summaryOf } from "../test/sample.ts";
import { fitRecord, maxRecordBytes } from "./record-size.ts";

const words = (maxLength: number) => fc.string({ maxLength, unit: "binary", size: "max" });
const summary = fc
  .array(
    fc.record({ name: words(63).filter((name) => name.length > 0), value: fc.constant("-1.2345678901234567e-300") }),
    {
      maxLength: 32,
      size: "max",
    },
  )
  .map((metrics) => summaryOf(Number.MAX_SAFE_INTEGER, { attempt: 99_999, metrics, tiers: ["Volume", "ObjectStore"] }));
const refused = fc.array(
  fc.record({ message: words(512), node: words(253), reason: words(63) }).map((over) => refusedOf(7, over)),
  { maxLength: 4, size: "max" },
);
const shown = words(128);
const names = fc.array(shown, { maxLength: 6, size: "max" });
const resume = fc.record({
  environment: fc.record({
    policy: fc.constant("Warn" as const),
    total: fc.nat(),
    differences: fc.array(fc.record({ member: shown, before: shown, now: shown }), { maxLength: 12, size: "max" }),
  }),
  partial: fc.record({
    ...{ loaded: fc.nat(), skipped: fc.nat(), optimizerTensors: fc.nat() },
    ...{ missing: names, unexpected: names, reshaped: names },
  }),
  replay: fc.record({
    asked: fc.nat(),
    recorded: fc.nat(),
    compared: fc.nat(),
    result: fc.constant("Differs" as const),
    firstDifference: fc.nat(),
    largestDifference: fc.constant("1.23e-300"),
    tolerance: fc.constant("0.001"),
  }),
});
const served = fc.record({
  resume,
  kind: fc.constant("served" as const),
  attempt: fc.constant(3),
  resumedFrom: fc.constant({ step: 5, digest: digestOf("a"), tier: "Volume" as const }),
  lastStep: fc.constant(Number.MAX_SAFE_INTEGER),
  latestVerified: fc.option(summary),
  best: fc.option(summary),
  done: fc.constant(digestOf("d")),
  refused,
  verificationFailures: fc.nat(),
});
const failed = fc.record({
  kind: fc.constant("restore-failed" as const),
  attempt: fc.constant(3),
  failure: fc.constant("NoVerifiedCheckpoint" as const),
  message: words(1024),
  refused,
});

test("whatever it says, the record fits, parses, and keeps what the accounting needs", () => {
  fc.assert(
    fc.property(fc.oneof(served, failed), (record) => {
      const text = fitRecord(record);
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(maxRecordBytes);
      expect(text).not.toContain("\n");
      const read = AgentRecord.parse(JSON.parse(text));
      if (record.kind === "served" && read.kind === "served") {
        expect(read.latestVerified?.digest).toBe(record.latestVerified?.digest);
        expect(read.best?.digest).toBe(record.best?.digest);
        expect([read.done, read.resumedFrom]).toEqual([record.done, record.resumedFrom]);
        // That something differs is never left out, whatever else has to be.
        expect(read.resume?.replay).toEqual(record.resume.replay);
        expect(read.resume?.environment?.total).toBe(record.resume.environment.total);
      }
    }),
    { numRuns: 300 },
  );
});

test("a record that fits is left whole", () => {
  const record = {
    kind: "served",
    attempt: 1,
    latestVerified: summaryOf(4, { metrics: [{ name: "loss", value: "0.25" }] }),
    best: null,
    done: null,
    refused: [refusedOf(3)],
    verificationFailures: 1,
  } satisfies AgentRecord;
  expect(JSON.parse(fitRecord(record))).toEqual(record);
});

test("messages of refusals go first, metrics of the newest checkpoint last", () => {
  const long = { message: "x".repeat(512), node: "n".repeat(253) };
  const metrics = Array.from({ length: 12 }, (_, i) => ({ name: `metric-${i}`, value: "0.123456789" }));
  const record = {
    kind: "served",
    attempt: 1,
    latestVerified: summaryOf(4, { metrics }),
    best: summaryOf(3, { metrics }),
    done: null,
    refused: [refusedOf(1, long), refusedOf(2, long), refusedOf(3, long), refusedOf(5, long)],
    verificationFailures: 4,
  } satisfies AgentRecord;
  const fitted = AgentRecord.parse(JSON.parse(fitRecord(record)));
  if (fitted.kind !== "served") throw new Error("the kind changed");
  expect(fitted.refused.map(({ message }) => message.length)).toEqual([160, 160, 160, 160]);
  expect(fitted.latestVerified?.metrics).toEqual(metrics);
});
