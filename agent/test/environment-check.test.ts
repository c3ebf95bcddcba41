import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { bytesFile, jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import { commitShards } from "@trainingrun/checkpoint/shards/commit-shards.ts";
import { saveShard } from "@trainingrun/checkpoint/shards/save-shard.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { readEnvironment } from "../src/environment.ts";
import { exitCodes } from "../src/exit-codes.ts";
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
  const { last } = (await readLog(store)).state;
  const code = await restore(2);
  const log = join(root, "termination-log");
  const record = existsSync(log) ? AgentRecord.parse(JSON.parse(readFileSync(log, "utf8"))) : null;
  const appended = (await readLog(store)).state.last - last;
  const isHandedOver = existsSync(join(root, "control-2", "restored"));
  return { code, record, isHandedOver, appended, again: () => restore(2) };
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
  // Nor does the log say that it began: the history is what it was.
  expect(end).toEqual({ code: 1, record, isHandedOver: false, appended: 0 });
  // The container is restarted: the verdict stands.
  expect(await again()).toBe(1);
});

/**
 * Two workers save in these environments, undefined for none; then each is restored in a pod of `image`, the second for
 * no longer than it has to wait where worker 0 does not open. Null is a restore that handed over.
 */
async function gangResumed(saved: readonly (object | undefined)[], image: string) {
  const root = mkdtempSync(join(tmpdir(), "agent-environment-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const restore = (attempt: number, worker: number, stop = new AbortController().signal) => {
    const variables = podVariables(root, {
      TRAININGRUN_CONTROL: join(root, `control-${attempt}-${worker}`),
      TRAININGRUN_RESUME: join(root, `resume-${attempt}-${worker}`),
      TRAININGRUN_TERMINATION_LOG: join(root, `termination-log-${worker}`),
      TRAININGRUN_ATTEMPT: `${attempt}`,
      TRAININGRUN_WORKER: `${worker}`,
      TRAININGRUN_WORKERS: "2",
      TRAININGRUN_POD_UID: `pod-${attempt}-${worker}`,
      TRAININGRUN_IMAGE: image,
      TRAININGRUN_EXPECTED: JSON.stringify({ ...nothingRecorded, environmentMismatch: "Block" }),
    });
    return restoreCommand(readEnvironment(AgentEnvironment, variables), stop);
  };
  expect(await restore(1, 0)).toBe(0);
  const store = await openDirectoryStore(join(root, "checkpoints"), { runUid: "run-uid" });
  for (const [worker, environment] of saved.entries()) {
    await saveShard(store, {
      ...{ runUid: "run-uid", attempt: 1, step: 10, worker, workers: 2, parent: null, metrics: [], health: healthy },
      files: [
        jsonFile("state.json", {}),
        ...(environment === undefined ? [] : [jsonFile("environment.json", environment)]),
      ],
      producer: { name: "test", version: "1" },
    });
  }
  await commitShards(store, { step: 10, attempt: 1 });
  const first = await restore(2, 0);
  const codes = [first, await restore(2, 1, first === 0 ? undefined : AbortSignal.abort())];
  return codes.map((code, worker) => {
    if (code === 0) return null;
    if (code === exitCodes.stopped) return "waited";
    const record = AgentRecord.parse(JSON.parse(readFileSync(join(root, `termination-log-${worker}`), "utf8")));
    return record.kind === "restore-failed" ? record.message : record.kind;
  });
}

const another = { ...mine, image: "example.com/mnist@sha256:bb" };
const refusal = expect.stringContaining(`image is ${another.image} in the checkpoint, ${mine.image} here`);

test.each<[string, (object | undefined)[], unknown[]]>([
  ["go on where it is the same", [mine, mine], [null, null]],
  ["do not begin where worker 0 cannot", [another, another], [refusal, "waited"]],
  ["are compared each with its own shard", [mine, another], [null, refusal]],
  ["of which one records none leave that one alone", [undefined, another], [null, refusal]],
])("the workers of a gang %s", async (_, saved, expected) => {
  expect(await gangResumed(saved, mine.image)).toEqual(expected);
});
