import { describe, expect, test } from "vitest";
import { nodeWith } from "../../test/ended-pods.ts";
import { condition, decideOn, kinds, living } from "../../test/observed-builder.ts";
import { podWith, running, waiting } from "../../test/pod-builder.ts";
import { type Fields, runWith, specWith, start } from "../../test/run-builder.ts";
import { createWorld } from "../../test/world.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import { podHash } from "./pod-hash.ts";

const made = podHash(runWith());
const pulling = podWith({
  status: { phase: "Pending", containerStatuses: [waiting("trainer", "ContainerCreating")] },
});
const training = podWith({
  status: { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] },
});
const stored = specWith();
const objectStore = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3" };
const image = { spec: { containers: [{ name: "trainer", image: "example.com/mnist:2" }] } };

/** A run whose attempt 1 was made of the first spec, and whose spec was edited since. */
const edited = (spec: Fields, entry: Fields = {}) =>
  living({ spec, metadata: { generation: 2 }, entry: { podHash: made, ...entry } });

describe("an edit before the trainer has started", () => {
  const changing: readonly [string, Fields][] = [
    ["the template", { template: image }],
    ["the interval of saves", { checkpoint: { ...(stored.checkpoint as Fields), interval: { steps: 7 } } }],
    ["the checkpoint to resume from", { resume: { from: { step: 7 } } }],
  ];
  test.each(changing)("of %s supersedes the attempt", (_, spec) => {
    const decision = decideOn({ run: edited(spec), pods: [pulling] });
    expect(decision.status.stop).toMatchObject({ attempt: 1, cause: "Superseded" });
    expect(kinds(decision)).toEqual(["DeletePod"]);
  });

  const harmless: readonly [string, Fields][] = [
    ["the time to live", { ttlSecondsAfterFinished: 60 }],
    ["the budget", { retry: { failures: 9 } }],
    ["the deadline", { activeDeadlineSeconds: 3600 }],
    ["what becomes of the data", { deletionPolicy: "Delete" }],
    [
      "nothing, but in another order",
      { checkpoint: Object.fromEntries(Object.entries(stored.checkpoint as Fields).toReversed()) },
    ],
  ];
  test.each(harmless)("of %s leaves its pod alone", (_, spec) => {
    const decision = decideOn({ run: edited(spec), pods: [pulling] });
    expect(decision.status.stop).toBeUndefined();
    expect(kinds(decision)).toEqual([]);
  });

  test("that is taken back leaves its pod alone", () => {
    expect(decideOn({ run: edited({}), pods: [pulling] }).status.stop).toBeUndefined();
  });
});

describe("an edit to what this version does not do", () => {
  const refused: readonly [string, Fields, string][] = [
    ["NotSupported", { workers: 2, checkpoint: { objectStore } }, "spec.workers"],
    [
      "NotSupported",
      { deletionPolicy: "Delete", checkpoint: { volume: { claimName: "theirs" } } },
      "spec.deletionPolicy",
    ],
    [
      "ShellCommand",
      { template: { spec: { containers: [{ name: "trainer", command: ["sh", "-c", "node a.js"] }] } } },
      "`sh -c`",
    ],
  ];
  test.each(refused)("is told at once while the attempt goes on: %s", (reason, spec, field) => {
    const run = edited(spec, { firstStepTime: new Date(start).toISOString() });
    const first = decideOn({ run, pods: [training] });
    expect([kinds(first), first.status.stop]).toEqual([[], undefined]);
    expect(condition(first, "Progressing")).toMatchObject({ status: "True", reason: "Training" });
    expect(condition(first, "Progressing")?.message).toMatch(
      /^Attempt 1 is training. No attempt can follow attempt 1./,
    );
    expect(first.events).toMatchObject([{ type: "Warning", reason, message: expect.stringContaining(field) }]);
    const again = decideOn({ run: { ...run, status: first.status }, pods: [training] });
    expect([again.status, again.events]).toEqual([first.status, []]);
  });

  test.each(refused)("throws no pod away that waits for its image: %s", (_, spec) => {
    expect(decideOn({ run: edited(spec), pods: [pulling] }).status.stop).toBeUndefined();
  });

  test.each(refused)("makes no pod: %s", (reason, spec) => {
    const run = edited(spec, { pods: [] });
    const decision = decideOn({ run });
    expect(kinds(decision)).toEqual([]);
    expect(decision.status.attempts).toMatchObject([{ number: 1, cause: "Superseded" }]);
    expect(condition(decision, "Progressing")).toMatchObject({ status: "False", reason });
  });

  test("does not give a pod up that a silent node may run", () => {
    const run = edited({ nodeLost: { policy: "Fence", afterSeconds: 60 } });
    const decision = decideOn({ run, gone: ["pod-1"], nodes: [nodeWith({ ready: "Unknown" })] });
    expect(decision.status).toMatchObject({ state: "Fencing", attempt: 1 });
  });
});

test("two writers who fight over the template make no attempts without end", () => {
  const world = createWorld();
  const status = () => world.status as TrainingRunStatus;
  const settle = () => {
    for (let pass = 0; pass < 30 && world.pass().wrote; pass += 1);
    world.events.terminate();
    for (let pass = 0; pass < 30 && world.pass().wrote; pass += 1);
  };
  settle();
  for (let edits = 0; edits < 200; edits += 1) {
    world.events.editTemplate();
    settle();
  }
  expect(status()).toMatchObject({ attempt: 4, state: "Backoff", retry: { failures: 0 } });
  const waits: number[] = [];
  for (let round = 0; round < 8; round += 1) {
    waits.push((Date.parse(status().retry?.nextAttemptTime ?? "") - world.now) / 1000);
    world.wait(300_000);
    settle();
    world.events.editTemplate();
    settle();
  }
  expect(status().attempt).toBe(12);
  expect(waits.at(-1)).toBeGreaterThanOrEqual(225);
  // One that is let train is followed at once again after the next edit.
  world.wait(300_000);
  settle();
  for (const event of [world.events.start, world.events.train, world.events.evict]) {
    event();
    settle();
  }
  world.events.editTemplate();
  settle();
  expect(status()).toMatchObject({ attempt: 15, state: "Pending" });
});
