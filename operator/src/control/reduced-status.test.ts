import { expect, test } from "vitest";
import { checkpoint, digest } from "../../test/records.ts";
import { reducedStatus, reducibleFields } from "./reduced-status.ts";

test("a stop without its words still says what it costs", () => {
  const counted = { attempt: 3, cause: "Suspended", charge: "Failure", time: "2026-01-01T00:00:00Z" } as const;
  const stop = { ...counted, reason: "Refused", message: "words", exitCode: 42 };
  expect(reducedStatus({}, { attempt: 3, stop }, ["stop"])).toEqual({ attempt: 3, stop: counted });
});

test("what a lost volume is known by stands without what the trainer measured there (I10)", () => {
  const metrics = [{ name: "loss", value: "words" }];
  const [older, newest] = [checkpoint(10, 1, "a"), { ...checkpoint(20, 1, "b"), epoch: 2, metrics }];
  const reduced = (known?: object) =>
    reducedStatus({ ...known }, { latestVerified: newest }, reducibleFields).latestVerified;
  expect(reduced()).toEqual(checkpoint(20, 1, "b"));
  expect(reduced({ latestVerified: older })).toEqual(checkpoint(20, 1, "b"));
  expect(reduced({ latestVerified: { ...newest, metrics: [] } })).toEqual({ ...newest, metrics: [] });
});

test("a checkpoint that is suspected is, though all that has a smaller form is made small: it is decided once", () => {
  const suspects = [{ step: 20, digest: digest("b"), stuckAt: 30 }];
  expect(reducedStatus({}, { attempt: 2, suspects }, reducibleFields)).toMatchObject({ attempt: 2, suspects });
});
