import { describe, expect, test } from "vitest";
import type { RetentionPolicy } from "../contract/pod-environment.ts";
import { directoryName } from "../directory-name.ts";
import { type CheckpointRef, emptyState, type RunState } from "../log/state.ts";
import { type MirrorInput, planMirror } from "./mirror-plan.ts";

const time = "2030-01-01T12:00:00Z";
const keepAll: RetentionPolicy = { last: 1000, best: null, everySteps: null, maxBytes: null };
const keepTwo: RetentionPolicy = { ...keepAll, last: 2 };

/** A checkpoint of 100 bytes; attempt 2's are those of 50 steps and more. */
function refOf(step: number, metrics: CheckpointRef["metrics"] = []): CheckpointRef {
  const attempt = step < 50 ? 1 : 2;
  const digest = digestOf(step);
  return {
    digest,
    step,
    attempt,
    directory: directoryName(step, attempt),
    bytes: 100,
    metrics,
    unhealthy: false,
    time,
  };
}

function digestOf(step: number): string {
  return `blake3:${step.toString(16).padStart(64, "0")}`;
}

const digestsOf = (steps: readonly number[]) => new Set(steps.map(digestOf));

/** Attempt 2 holds the log, opened on step 40 of attempt 1. */
function volumeOf(refs: readonly CheckpointRef[], refused: readonly number[] = []): RunState {
  const base = { digest: digestOf(40), attempt: 1, step: 40 };
  return {
    ...emptyState,
    last: 9,
    opened: { attempt: 2, podUid: "p", node: "n", base: base.digest, generation: 1, number: 5, time },
    attempts: [
      { attempt: 1, base: null },
      { attempt: 2, base },
    ],
    checkpoints: refs,
    refused: refused.map((step) => ({
      digest: digestOf(step),
      attempt: 2,
      reason: "x",
      message: "x",
      node: "n",
      time,
    })),
  };
}

type Scene = Partial<Pick<MirrorInput, "policy" | "turn">> & {
  steps?: readonly number[];
  refs?: readonly CheckpointRef[];
  mirrored?: readonly number[];
  unverified?: readonly number[];
  refused?: readonly number[];
  removed?: readonly number[];
  pausing?: readonly number[];
};

function plan(scene: Scene) {
  const refs = scene.refs ?? (scene.steps ?? [30, 40, 50, 60, 70]).map((step) => refOf(step));
  const verified = refs.filter(({ step }) => !scene.unverified?.includes(step)).map(({ digest }) => digest);
  const planned = planMirror({
    attempt: 2,
    volume: volumeOf(refs, scene.refused),
    policy: scene.policy ?? keepAll,
    verified: new Set(verified),
    mirrored: digestsOf(scene.mirrored ?? []),
    removed: digestsOf(scene.removed ?? []),
    pausing: digestsOf(scene.pausing ?? []),
    turn: scene.turn ?? "Newest",
  });
  const { latest, lagSteps, lagBytes } = planned;
  return { next: planned.next.map(({ step }) => step), latest: latest?.step ?? null, lagSteps, lagBytes };
}

describe("What is uploaded next", () => {
  test.each<[string, Scene, number[]]>([
    ["the newest, the base, then the others from new to old", {}, [70, 40, 60, 50]],
    ["the base alone, while the attempt has saved nothing", { steps: [30, 40] }, [40]],
    ["what is missing", { mirrored: [40, 60] }, [70, 50]],
    ["nothing, when all is there", { mirrored: [40, 50, 60, 70] }, []],
    ["nothing that is not verified", { unverified: [70] }, [60, 40, 50]],
    ["nothing that was refused", { refused: [70, 50] }, [60, 40]],
    ["nothing that has just failed: it holds up no other", { pausing: [70, 40] }, [60, 50]],
    ["nothing that the object store has removed: its log does not take it again", { removed: [50] }, [70, 40, 60]],
    ["nothing that retention would remove there at once", { policy: keepTwo }, [70, 40, 60]],
    ["what retention keeps as a milestone", { policy: { ...keepTwo, everySteps: 50 } }, [70, 40, 60, 50]],
    ["what waited longest, where the newest has just had its turn", { turn: "Waiting" }, [40, 50, 60, 70]],
    ["the newest, where none has waited", { turn: "Waiting", mirrored: [40, 50, 60] }, [70]],
    ["what waited longest after a base that fails", { turn: "Waiting", pausing: [40] }, [50, 60, 70]],
    ["no ancestor of the base: the base stands in for it", { steps: [20, 30, 40], mirrored: [40] }, []],
  ])("is %s", (_what, scene, steps) => {
    expect(plan(scene).next).toEqual(steps);
  });

  test("the best is uploaded although many newer ones were saved since", () => {
    const loss = (value: string) => [{ name: "loss", value }];
    const refs = [refOf(40), refOf(50, loss("0.1")), refOf(60, loss("0.5")), refOf(70, loss("0.6")), refOf(80)];
    const policy: RetentionPolicy = { ...keepTwo, best: { metric: "loss", mode: "Min", count: 1 } };
    expect(plan({ refs, policy }).next).toEqual([80, 40, 70, 50]);
  });

  test("a byte budget, which is the volume's, holds nothing back", () => {
    expect(plan({ policy: { ...keepAll, maxBytes: 250 } }).next).toEqual([70, 40, 60, 50]);
  });
});

describe("The lag", () => {
  test.each<[string, Scene, Partial<ReturnType<typeof plan>>]>([
    ["from step 0, without a copy", {}, { latest: null, lagSteps: 70, lagBytes: 400 }],
    ["from the newest copy", { mirrored: [40, 50] }, { latest: 50, lagSteps: 20, lagBytes: 200 }],
    ["no steps, while older ones are missing", { mirrored: [70] }, { latest: 70, lagSteps: 0, lagBytes: 300 }],
    ["nothing", { mirrored: [40, 50, 60, 70] }, { latest: 70, lagSteps: 0, lagBytes: 0 }],
    ["from an ancestor of the base", { steps: [30, 40], mirrored: [30] }, { latest: 30, lagSteps: 10, lagBytes: 100 }],
    ["what is being tried again as well", { mirrored: [40, 50, 60], pausing: [70] }, { lagSteps: 10, lagBytes: 100 }],
    ["nothing of a run that has saved nothing", { steps: [] }, { latest: null, lagSteps: 0, lagBytes: 0 }],
  ])("is %s", (_what, scene, lag) => {
    expect(plan(scene)).toMatchObject(lag);
  });
});

test("a step that is saved again by the attempt that resumed at it is ahead of what the object store has of it", () => {
  const again = { ...refOf(40), digest: digestOf(4000), attempt: 2, directory: directoryName(40, 2) };
  const planned = planMirror({
    attempt: 2,
    volume: volumeOf([refOf(40), again]),
    policy: keepAll,
    verified: new Set([digestOf(40), again.digest]),
    mirrored: digestsOf([40]),
    removed: new Set(),
    pausing: new Set(),
    turn: "Newest",
  });
  expect(planned).toMatchObject({ next: [again], ahead: [again], latest: { attempt: 1 }, lagSteps: 0, lagBytes: 100 });
});
