import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { boundClaim, condition, decideOn, held, kinds, living, observedWith } from "../../test/observed-builder.ts";
import { at, podWith } from "../../test/pod-builder.ts";
import { runWith, start } from "../../test/run-builder.ts";
import type { CreateRefusal, Observed } from "./observed.ts";
import { refusalOf } from "./refusal.ts";

const run = runWith({
  metadata: { ...held, generation: 3 },
  status: { attempt: 1, attempts: [{ number: 1, generation: 3, pods: [], startTime: at(0) }] },
});

/** Refused first at the start, and last after so many seconds. */
const refusedFor = (seconds: number, fields: Partial<CreateRefusal> = {}): CreateRefusal => ({
  kind: "Pod",
  name: "mnist-1-0",
  status: 403,
  reason: "Forbidden",
  message: "exceeded quota: gpus",
  at: start + seconds * 1000,
  firstAt: start,
  inVainSince: start,
  generation: 3,
  ...fields,
});

/** So long after its last refusal the creation is tried again. */
function pauseOf(refusal: CreateRefusal): number {
  const { requeueAfterMs = 0, actions } = decideOn({ run, refusals: [refusal], now: refusal.at });
  expect(actions).toEqual([]);
  const tried = decideOn({ run, refusals: [refusal], now: refusal.at + requeueAfterMs });
  expect(kinds(tried)).toEqual(["CreatePod"]);
  return requeueAfterMs / 1000;
}

/** In the last quarter of so many seconds, and not after them. */
function expectEarly(pause: number, seconds: number): void {
  expect(pause).toBeGreaterThanOrEqual(0.75 * seconds - 0.001);
  expect(pause).toBeLessThanOrEqual(seconds);
}

const webhook = {
  ...{ status: 500, reason: "InternalError" },
  message: 'failed calling webhook "pods": connect: connection refused',
};
const rights = { message: 'pods is forbidden: User "operator" cannot create resource "pods"' };
const foreign = { status: 409, reason: "AlreadyExists", message: "another object has that name" };

describe("a creation that is refused", () => {
  test.each([
    ["at first", 0, {}, 15],
    ["for a while", 40, {}, 40],
    ["for long", 3600, {}, 300],
    ["for long by a policy", 3600, { message: "runs are not welcome here" }, 300],
    ["for long by a webhook that is away", 3600, webhook, 30],
    ["for long by a server that starts, or for want of a right", 3600, rights, 30],
    ["for long for a name that somebody has", 3600, foreign, 30],
    ["for a moment by a webhook that is away", 20, webhook, 20],
    ["for long by a webhook that is away, as a thousand others are", 3600, { ...webhook, crowd: 1_000 }, 100],
    ["for long by a webhook that is away, as all others are", 3600, { ...webhook, crowd: 100_000 }, 300],
    ["for long by a quota, as a thousand others are", 3600, { crowd: 1_000 }, 300],
  ])("%s is tried again after as long as it has been refused already, within limits", (_, seconds, fields, pause) => {
    expectEarly(pauseOf(refusedFor(seconds, fields)), pause);
  });

  test("together with others is tried at an instant of its own", () => {
    const leftOf = (uid: string, refusal: CreateRefusal) => {
      const of = runWith({ metadata: { ...held, generation: 3, uid }, status: { ...run.status } });
      const [entry] = of.status.attempts ?? [];
      return entry && refusalOf(observedWith({ run: of, refusals: [refusal], now: refusal.at }), entry)?.leftMs;
    };
    const room = refusedFor(0, { inVainSince: start + 60_000 });
    for (const refusal of [refusedFor(0), refusedFor(3600), room]) {
      const left = Array.from({ length: 100 }, (_, each) => leftOf(`run-${each}`, refusal));
      expect(new Set(left).size).toBeGreaterThan(50);
    }
  });

  test("is tried as if newly refused where room may have come, and ever more rarely from there", () => {
    expectEarly(pauseOf(refusedFor(3600, { inVainSince: start + 3_600_001 })), 15);
    expectEarly(pauseOf(refusedFor(3700, { inVainSince: start + 3_650_000 })), 50);
  });

  test("is left alone, where room comes after long, until that has been counted", () => {
    const roomAt = start + 3_650_000;
    const refusals = [refusedFor(3600, { inVainSince: roomAt })];
    const { requeueAfterMs = 0, actions } = decideOn({ run, refusals, now: roomAt });
    expect(actions).toEqual([]);
    expectEarly(requeueAfterMs / 1000, 2);
    expect(kinds(decideOn({ run, refusals, now: roomAt + requeueAfterMs }))).toEqual(["CreatePod"]);
  });

  test("is tried about 20 times in the first hour and 14 times in every other", () => {
    let refused = refusedFor(0);
    const tries: number[] = [0];
    while ((tries.at(-1) ?? 0) < 7200) {
      refused = refusedFor((refused.at - start) / 1000 + pauseOf(refused));
      tries.push((refused.at - start) / 1000);
    }
    const first = tries.filter((at) => at < 3600).length;
    const second = tries.filter((at) => at >= 3600 && at < 7200).length;
    expect([first >= 17 && first <= 24, second >= 12 && second <= 16]).toEqual([true, true]);
  });

  test("is tried at once where the run was edited since, and says meanwhile what it said", () => {
    const edited = decideOn({ run, refusals: [refusedFor(3600, { generation: 2 })], now: start + 3_600_000 });
    expect(kinds(edited)).toEqual(["CreatePod"]);
    const words = { reason: "QuotaExceeded", message: expect.stringContaining("exceeded quota: gpus") };
    expect(condition(edited, "Progressing")).toMatchObject(words);
  });
});

describe("of several refusals", () => {
  const claim = { kind: "PersistentVolumeClaim", name: boundClaim.claimName } as const;
  const service = { kind: "Service", name: "mnist" } as const;
  const pod = { kind: "Pod", name: "mnist-1-2" } as const;
  const gang = living({ entry: { workers: 3, pods: [] } });
  const [entry] = gang.status.attempts ?? [];
  const nothing = { run: gang, volume: { kind: "Absent", claimName: claim.name }, service: "Absent" } as const;
  const found = (observed: Partial<Observed>) =>
    entry === undefined ? undefined : refusalOf(observedWith({ ...nothing, ...observed }), entry);

  test("the newest counts, in whatever order they came first", () => {
    const any = fc.shuffledSubarray([claim, service, pod], { minLength: 1 });
    const instants = fc.uniqueArray(fc.nat(10_000), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(any, instants, (things, seconds) => {
        const refusals = things.map((thing, index) => refusedFor(seconds[index] ?? 0, thing));
        const newest = refusals.toSorted((a, b) => a.at - b.at).at(-1);
        expect(found({ refusals })?.message).toContain(` ${newest?.name} because `);
      }),
    );
  });

  test("that of what stands by now does not", () => {
    const refusals = [refusedFor(0, pod), refusedFor(10, service), refusedFor(20, claim)];
    const standing: readonly [Partial<Observed>, string | undefined][] = [
      [{}, claim.name],
      [{ volume: boundClaim }, service.name],
      [{ volume: boundClaim, service: "Present" }, pod.name],
      [{ volume: boundClaim, service: "Present", pods: [podWith({ metadata: { name: pod.name } })] }, undefined],
    ];
    for (const [observed, name] of standing) {
      const message = found({ ...observed, refusals })?.message;
      expect(message?.split(" because ")[0]?.split(" ").at(-1)).toBe(name);
    }
  });
});
