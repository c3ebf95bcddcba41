import { readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { beforeEach, expect, test, vi } from "vitest";
import { keep } from "../src/serve/keep.ts";
import { Reporter } from "../src/serve/reporter.ts";
import { VolumeCare } from "../src/serve/volume-care.ts";
import { TerminationLog } from "../src/termination-log.ts";
import { ServingPod, Tiers } from "./mirror-scene.ts";

beforeEach(() => {
  for (const said of ["log", "warn", "error"] as const) vi.spyOn(console, said).mockReturnValue(undefined);
});

test("what the mirror brings to its end while the last record is being written is in the record all the same", async () => {
  const tiers = await Tiers.make();
  const pod = await ServingPod.start(tiers, 1, { TRAININGRUN_VOLUME: "Ephemeral" });
  const final = await pod.finish(10);
  const reporter = new Reporter(pod.environment);
  const atLastRecord = Promise.withResolvers<void>();
  tiers.atUpload.set(10, () => atLastRecord.promise);
  let reads = 0;
  reporter.progress.read = async () => {
    reads += 1;
    // The first is within the look at the volume, the second after it: what goes into that record is known by now.
    if (reads === 2) {
      atLastRecord.resolve();
      while (!pod.mirror.settled) await setImmediate();
    }
    return null;
  };
  await keep(pod.environment, {
    stop: AbortSignal.abort(),
    lookMs: 1_000,
    log: new TerminationLog(pod.environment.TRAININGRUN_TERMINATION_LOG),
    reporter,
    keeper: pod.keeper,
    mirror: pod.mirror,
    care: new VolumeCare(pod.environment, await pod.trainer.store()),
  });
  const record = AgentRecord.parse(JSON.parse(readFileSync(pod.environment.TRAININGRUN_TERMINATION_LOG, "utf8")));
  expect(record).toMatchObject({ latestVerified: { digest: final, tiers: ["Volume", "ObjectStore"] }, done: final });
});
