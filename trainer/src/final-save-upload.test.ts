import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { lessUpload, uploadRate } from "./final-save-upload.ts";
import type { PodPlace } from "./place.ts";

const said = '{"version":1,"bytesPerSecond":1000}';

test.each<[string, PodPlace["volume"], string | null, number | null]>([
  ["the agent's last upload says how fast it is", "Ephemeral", said, 1000],
  ["a volume that outlives the pod needs no upload", "Durable", said, null],
  ["before the first upload nothing is known", "Ephemeral", null, null],
  ["a torn file says nothing", "Ephemeral", said.slice(0, 20), null],
  ["nor does one of another version", "Ephemeral", '{"version":2,"bytesPerSecond":1000}', null],
  ["an upload that never ends is no speed", "Ephemeral", '{"version":1,"bytesPerSecond":0}', null],
])("%s", (_, volume, content, rate) => {
  const control = mkdtempSync(join(tmpdir(), "upload-"));
  onTestFinished(() => rmSync(control, { recursive: true, force: true }));
  if (content !== null) writeFileSync(join(control, "mirror-rate"), content);
  const place: PodPlace = {
    kind: "pod",
    runUid: "run",
    attempt: 1,
    worker: 0,
    checkpoints: control,
    volume,
    control,
    terminationLog: join(control, "termination-log"),
    interval: { steps: 1 },
    graceSeconds: 30,
  };
  expect(uploadRate(place)).toBe(rate);
});

test("at hand nothing is uploaded", () => {
  const place = { kind: "local", runUid: "local", checkpoints: "", interval: { steps: 1 }, graceSeconds: 30 } as const;
  expect(uploadRate(place)).toBeNull();
});

test("an upload takes its bytes' time, and what the agent needs around it", () => {
  const deadline = { sureMs: 30_000, latestMs: 31_000 };
  expect(lessUpload(deadline, { bytes: 5_000, bytesPerSecond: 1_000 })).toEqual({ sureMs: 23_500, latestMs: 24_500 });
  expect(lessUpload(deadline, { bytes: 5_000, bytesPerSecond: null })).toEqual(deadline);
});
