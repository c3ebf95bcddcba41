import { describe, expect, test } from "vitest";
import { decideOn, held, kinds, living } from "../../test/observed-builder.ts";
import { at, ended, podWith } from "../../test/pod-builder.ts";
import { type Fields, start } from "../../test/run-builder.ts";

const seconds = (count: number) => start + count * 1000;

/** A run that came to its end ten seconds after its start; its pod is let go already. */
function overRun(ttl: Fields, { type = "Complete", status = "True", metadata = {} as Fields } = {}) {
  const end = { type, status, reason: "AnyWord", message: "over", lastTransitionTime: at(10) };
  return living({
    spec: ttl,
    metadata: { ...held, ...metadata },
    status: { conditions: [end] },
    entry: { endTime: at(10), cause: "Crashed" },
  });
}

describe("ttlSecondsAfterFinished", () => {
  const ttl = { ttlSecondsAfterFinished: 100 };

  test.each(["Complete", "Failed"])("deletes a run that is %s so long after its end, and wakes it for that", (type) => {
    const run = overRun(ttl, { type });
    const early = decideOn({ run, now: seconds(30) });
    expect([kinds(early), early.requeueAfterMs]).toEqual([[], 80_000]);
    expect(kinds(decideOn({ run, now: seconds(110) - 1 }))).toEqual([]);
    expect(kinds(decideOn({ run, now: seconds(110) }))).toEqual(["DeleteRun"]);
  });

  test("of 0 deletes it in the pass that sees it ended, after its pod is let go", () => {
    const pod = podWith({ status: { phase: "Failed", containerStatuses: [ended("trainer", 1)] } });
    const decision = decideOn({ run: overRun({ ttlSecondsAfterFinished: 0 }), pods: [pod], now: seconds(10) });
    expect(kinds(decision)).toEqual(["ReleasePod", "DeleteRun"]);
  });

  test("that is set when the run has long ended counts from its end, not from the edit", () => {
    expect(kinds(decideOn({ run: overRun(ttl, { metadata: { generation: 2 } }), now: seconds(5_000) }))).toEqual([
      "DeleteRun",
    ]);
  });

  test.each<[string, ReturnType<typeof overRun>]>([
    ["without it", overRun({})],
    ["that is suspended", overRun({ ...ttl, suspend: true }, { type: "Suspended" })],
    ["that is not at its end after all", overRun({ ...ttl, suspend: true }, { status: "False" })],
    ["that is deleted already", overRun(ttl, { metadata: { deletionTimestamp: at(20) } })],
  ])("does not delete a run %s", (_, run) => {
    expect(kinds(decideOn({ run, now: seconds(100_000) }))).not.toContain("DeleteRun");
  });
});
