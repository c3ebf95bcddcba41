import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { bytesFile, jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { readEnvironment } from "../src/environment.ts";
import { restoreCommand } from "../src/restore-command.ts";
import { nothingRecorded, podVariables } from "./sample.ts";

const platform = `${process.platform}-${process.arch}`;
const mine = { version: 1, image: "example.com/mnist@sha256:aa", runtime: { node: "24.1.0", platform } };
const said: string[] = [];

beforeEach(() => {
  said.splice(0);
  for (const level of ["log", "warn", "error"] as const) {
    vi.spyOn(console, level).mockImplementation((text) => void said.push(String(text)));
  }
  return () => vi.restoreAllMocks();
});

/** Attempt 1 saves in that environment; then attempt 2 is restored in a pod of that image, under that policy. */
async function resumed(saved: object | string | null, { image, policy }: { image: string; policy: string }) {
  const root = mkdtempSync(join(tmpdir(), "agent-environment-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const pod = (attempt: number) =>
    podVariables(root, {
      TRAININGRUN_ATTEMPT: `${attempt}`,
      TRAININGRUN_POD_UID: `pod-${attempt}`,
      TRAININGRUN_CONTROL: join(root, `control-${attempt}`),
      TRAININGRUN_IMAGE: image,
      TRAININGRUN_EXPECTED: JSON.stringify({ ...nothingRecorded, environmentMismatch: policy }),
    });
  const restore = (attempt: number) =>
    restoreCommand(readEnvironment(AgentEnvironment, pod(attempt)), new AbortController().signal);
  expect(await restore(1)).toBe(0);
  const store = await openDirectoryStore(join(root, "checkpoints"), { runUid: "run-uid" });
  const recorded = typeof saved === "string" ? bytesFile("environment.json", "opaque", Buffer.from(saved)) : null;
  const files = [
    jsonFile("state.json", {}),
    ...(saved === null ? [] : [recorded ?? jsonFile("environment.json", saved)]),
  ];
  const producer = { name: "test", version: "1" };
  const place = { runUid: "run-uid", attempt: 1, step: 10, parent: null };
  await saveCheckpoint(store, { ...place, files, metrics: [], health: healthy, producer });
  const code = await restore(2);
  const log = join(root, "termination-log");
  const record = existsSync(log) ? AgentRecord.parse(JSON.parse(readFileSync(log, "utf8"))) : null;
  return { code, record, isHandedOver: existsSync(join(root, "control-2", "restored")), again: () => restore(2) };
}

test.each([
  ["the same image is taken", mine, mine.image, "Block"],
  ["another image is taken where it is to be ignored", mine, "example.com/other", "Ignore"],
  ["a framework that records no environment is taken", null, "example.com/other", "Block"],
  ["a file that is called so and is no JSON is left to the trainer", "{{{\xff", "example.com/other", "Block"],
])("%s, without a word", async (_, saved, image, policy) => {
  expect(await resumed(saved, { image, policy })).toMatchObject({ code: 0, record: null, isHandedOver: true });
  expect(said.filter((line) => line.includes("environment"))).toEqual([]);
});

test("another image is warned of, and taken", async () => {
  const end = await resumed(mine, { image: "example.com/mnist@sha256:bb", policy: "Warn" });
  expect(end).toMatchObject({ code: 0, record: null, isHandedOver: true });
  expect(said).toContain(
    "The environment is not the one that saved the checkpoint of step 10: " +
      "image is example.com/mnist@sha256:aa in the checkpoint, example.com/mnist@sha256:bb here",
  );
});

test("another image or another kind of node is refused before the trainer starts, both sides named", async () => {
  const saved = { ...mine, runtime: { ...mine.runtime, platform: "linux-riscv64" } };
  const { again, ...end } = await resumed(saved, { image: "example.com/mnist@sha256:bb", policy: "Block" });
  const message =
    "Cannot resume from step 10 because the environment must be the one that saved it (resume.environmentMismatch is " +
    "Block): image is example.com/mnist@sha256:aa in the checkpoint, example.com/mnist@sha256:bb here; " +
    `runtime.platform is linux-riscv64 in the checkpoint, ${platform} here`;
  const record = { kind: "restore-failed", attempt: 2, failure: "Incompatible", message, refused: [] };
  expect(end).toEqual({ code: 1, record, isHandedOver: false });
  // The container is restarted: the verdict stands.
  expect(await again()).toBe(1);
});
