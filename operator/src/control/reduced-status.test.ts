import { expect, test } from "vitest";
import { reducedStatus } from "./reduced-status.ts";

test("a stop without its words still says what it costs", () => {
  const counted = { attempt: 3, cause: "Suspended", charge: "Failure", time: "2026-01-01T00:00:00Z" } as const;
  const stop = { ...counted, reason: "Refused", message: "words", exitCode: 42 };
  expect(reducedStatus({}, { attempt: 3, stop }, ["stop"])).toEqual({ attempt: 3, stop: counted });
});
