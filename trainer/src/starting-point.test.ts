import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import type { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import { expect, onTestFinished, test } from "vitest";
import type { LocalPlace, PodPlace } from "./place.ts";
import { findStartingPoint, restoredSoFar, StartError } from "./starting-point.ts";

const going = new AbortController().signal;

/** A pod whose agent has said nothing yet, on a volume that is there or cannot be used. */
async function pod(volume: "usable" | "broken"): Promise<PodPlace> {
  const directory = await mkdtemp(join(tmpdir(), "starting-point-"));
  // The volume is opened beside the wait, and a process that gives up does not wait for it.
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 }));
  const checkpoints = join(directory, "volume");
  const control = join(directory, "control");
  await mkdir(control);
  if (volume === "broken") await writeFile(checkpoints, "no directory");
  return {
    kind: "pod",
    runUid: "run",
    attempt: 3,
    worker: 0,
    checkpoints,
    volume: "Durable",
    control,
    terminationLog: join(directory, "termination-log"),
    interval: { steps: 1 },
    graceSeconds: 30,
  };
}

const handedOver: Restored = {
  version: 1,
  run: "run",
  attempt: 3,
  podUid: "pod",
  resume: null,
  refused: [],
  verifiedBytes: 0,
  seconds: 0,
  time: "2026-01-01T00:00:00.000Z",
};
const failed: AgentRecord = {
  kind: "restore-failed",
  attempt: 3,
  failure: "NoVerifiedCheckpoint",
  message: "step 20 is on record and not in this storage",
  refused: [],
};

const leave = (place: PodPlace, name: string, content: unknown) =>
  writeFile(join(place.control, name), JSON.stringify(content));

test("training starts where the restore has handed over, of another release too", async () => {
  const place = await pod("usable");
  await leave(place, controlFiles.restored, { ...handedOver, saidByALaterRelease: true });
  expect(await findStartingPoint(place, going)).toMatchObject({ attempt: 3, resume: null });
});

test.each(["usable", "broken"] as const)(
  "a restore that has failed ends the wait with its words, on a %s volume",
  async (volume) => {
    const place = await pod(volume);
    const finding = findStartingPoint(place, going);
    finding.catch(() => undefined);
    await leave(place, controlFiles.restoreFailed, failed);
    await expect(finding).rejects.toThrow(
      "Cannot start training because the restore must hand over first: " +
        "NoVerifiedCheckpoint: step 20 is on record and not in this storage",
    );
  },
);

test("what another attempt left is not heeded, and a stop ends the wait", async () => {
  const place = await pod("usable");
  await leave(place, controlFiles.restored, { ...handedOver, attempt: 2 });
  await leave(place, controlFiles.restoreFailed, { ...failed, attempt: 2 });
  await expect(findStartingPoint(place, AbortSignal.abort())).rejects.toThrow("aborted");
});

test.each([
  ["of another version", { version: 2, attempt: 3, from: "somewhere" }, "it is of version 2"],
  ["without one", { attempt: 3 }, "it is of version unknown"],
  ["of this version that says something else", { ...handedOver, resume: "step 20" }, "it is of version 1"],
])("what the restore hands over %s is refused at once", async (_, content, words) => {
  const place = await pod("usable");
  await leave(place, controlFiles.restored, content);
  const finding = findStartingPoint(place, going);
  await expect(finding).rejects.toThrow(StartError);
  await expect(finding).rejects.toThrow(words);
  await expect(finding).rejects.toThrow("build the trainer's image with the release of the operator");
});

test("a process that is stopped before it begins takes what it cannot read for nothing", async () => {
  const place = await pod("usable");
  expect(await restoredSoFar(place)).toBeNull();
  await leave(place, controlFiles.restored, { version: 2, attempt: 3 });
  expect(await restoredSoFar(place)).toBeNull();
});

test("a script at hand begins a new attempt although the open of the last one is damaged", async () => {
  const directory = await mkdtemp(join(tmpdir(), "starting-point-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const place: LocalPlace = {
    kind: "local",
    runUid: "run",
    checkpoints: directory,
    interval: { steps: 1 },
    graceSeconds: 30,
  };
  const { store } = await findStartingPoint(place, going);
  await saveCheckpoint(store, {
    runUid: "run",
    attempt: 1,
    step: 20,
    parent: null,
    files: [jsonFile("state.json", { step: 20 })],
    metrics: [],
    health: healthy,
    producer: { name: "test", version: "1.0.0" },
  });
  expect(await findStartingPoint(place, going)).toMatchObject({ attempt: 2, resume: { step: 20 } });
  await writeFile(join(directory, "log", "000000000003.json"), "torn");
  expect(await findStartingPoint(place, going)).toMatchObject({ attempt: 3, resume: { step: 20 } });
});
