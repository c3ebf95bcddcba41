import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { candidates } from "../src/candidates.ts";
import { readLog } from "../src/log/read.ts";
import { DirectoryStore } from "../src/store/directory-store.ts";
import { verifyCheckpoint } from "../src/verify.ts";
import { restore, resumedAt, runUid, savedRun } from "./fixture.ts";

const script = join(import.meta.dirname, "processes/save-steps.ts");
const canTrace = traces();

type Ended = Readonly<{ lines: readonly string[]; signal: NodeJS.Signals | null; trace: string }>;

/** Runs a saver, under strace where `inject` says what to do to which system call. */
function saver(
  store: DirectoryStore,
  { steps, bytes, inject }: { steps: number[]; bytes: number; inject?: string },
): ChildProcess {
  const command = [process.execPath, script, store.root, runUid, "1", String(bytes), ...steps.map(String)];
  const [call] = (inject ?? "").split(":");
  const tracer =
    inject === undefined ? [] : ["strace", "-f", "-qq", "-y", "-e", `trace=${call}`, "-e", `inject=${inject}`];
  const [program = "", ...args] = [...tracer, ...command];
  // strace counts calls per thread and sees none that go through io_uring: one thread, and no ring.
  return spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, UV_USE_IO_URING: "0", UV_THREADPOOL_SIZE: "1" },
  });
}

async function end(child: ChildProcess): Promise<Ended> {
  const output: string[] = [];
  const trace: string[] = [];
  child.stdout?.on("data", (piece) => output.push(String(piece)));
  child.stderr?.on("data", (piece) => trace.push(String(piece)));
  const [, signal] = await once(child, "close");
  return { lines: output.join("").split("\n").filter(Boolean), signal, trace: trace.join("") };
}

/** What a reader finds: only whole checkpoints, and the next attempt resumes from one of `allowed`. */
async function expectWhole(root: string, allowed: readonly number[]): Promise<number> {
  const store = new DirectoryStore(root, runUid);
  const { state } = await readLog(store);
  for (const { digest, directory } of candidates(state, { base: null, refused: [] })) {
    expect(await verifyCheckpoint(store, { digest, directory })).toMatchObject({ ok: true });
  }
  const resumed = resumedAt(await restore(new DirectoryStore(root, runUid), 2));
  expect(allowed).toContain(resumed);
  const left = (await readdir(join(root, "data"))).filter((name) => name.startsWith("."));
  expect(left).toEqual([]);
  return Number(resumed);
}

describe("a saver that is killed", () => {
  test("at random instants leaves the previous checkpoint or the new one, whole (I3)", async () => {
    let interrupted = 0;
    for (let round = 0; round < 6; round += 1) {
      const { store } = await savedRun([10]);
      const steps = Array.from({ length: 400 }, (_, index) => 11 + index);
      const child = saver(store, { steps, bytes: 2_000_000 });
      const ended = end(child);
      if (child.stdout === null) throw new Error("Cannot follow the saver because it has no output");
      await once(child.stdout, "data");
      setTimeout(() => child.kill("SIGKILL"), Math.random() * 40);
      const { lines, signal } = await ended;
      if (signal === "SIGKILL") interrupted += 1;
      expect(lines.every((line) => line.startsWith("saved "))).toBe(true);
      const last = Number(lines.at(-1)?.split(" ")[1]);
      await expectWhole(store.root, [last, last + 1]);
    }
    expect(interrupted).toBe(6);
  }, 120_000);

  test.skipIf(!canTrace).each(["mkdir", "fsync", "rename", "link", "unlink"])(
    "before each of its %s calls leaves the previous checkpoint or the new one, whole (I3)",
    async (call) => {
      const resumed: number[] = [];
      for (let when = 1; ; when += 1) {
        const { store } = await savedRun([10]);
        const { lines, signal } = await end(
          saver(store, { steps: [20], bytes: 1000, inject: `${call}:signal=KILL:when=${when}` }),
        );
        const committed = lines.includes("saved 20");
        resumed.push(await expectWhole(store.root, committed ? [20] : [10, 20]));
        if (signal === null) break;
      }
      // One entry per call that was met, then one for the run that met no further call.
      expect(resumed).toEqual(expectedResumes[call]);
    },
    120_000,
  );
});

/** Where the next attempt resumes, by the call before which the saver died; complete directories are adopted. */
const expectedResumes: Record<string, number[]> = {
  mkdir: [10, 10, 20],
  // model.bin, more/state.bin, manifest, more/, the directory, data/ (renamed by now), log record, log/.
  fsync: [10, 10, 10, 10, 10, 20, 20, 20, 20],
  rename: [10, 10, 20],
  link: [20, 20],
  unlink: [20, 20],
};

describe("a saver whose disk fails", () => {
  test.skipIf(!canTrace).each([1, 2, 3, 4, 5, 6, 7, 8])(
    "at fsync %i abandons that save, never syncs the same file again, and saves anew",
    async (when) => {
      const { store } = await savedRun([10]);
      const inject = `fsync:error=EIO:when=${when}`;
      const { lines, trace } = await end(saver(store, { steps: [20, 30], bytes: 1000, inject }));
      expect(lines[0]).toMatch(
        /^failed 20 SaveFailedError: Cannot save step 20 of attempt 1 because .*EIO.*the disk below it fails/,
      );
      expect(lines[1]).toBe("saved 30");
      const synced = [...trace.matchAll(/fsync\(\d+<([^>]*)>/g)].map(([, path]) => path ?? "");
      const failed = synced[when - 1] ?? "";
      expect(failed).toContain(store.root);
      const isSharedDirectory = [join(store.root, "data"), join(store.root, "log")].includes(failed);
      if (!isSharedDirectory) expect(synced.filter((path) => path === failed)).toEqual([failed]);
      expect(await expectWhole(store.root, [30])).toBe(30);
    },
    60_000,
  );

  // Two whole pieces and a part go to the device directly, the last bytes through the page cache; then state.bin.
  test.skipIf(!canTrace).each([1, 2, 3, 4, 5])(
    "at write %i of many that are on their way at once abandons that save, and saves anew",
    async (when) => {
      const { store } = await savedRun([10]);
      const inject = `pwrite64:error=EIO:when=${when}`;
      const { lines } = await end(saver(store, { steps: [20, 30], bytes: 20_000_123, inject }));
      expect(lines[0]).toMatch(/^failed 20 SaveFailedError: .*EIO.*the disk below it fails/);
      expect(lines[1]).toBe("saved 30");
      expect(await expectWhole(store.root, [30])).toBe(30);
    },
    60_000,
  );

  test.skipIf(!canTrace)(
    "saves through the page cache where a file system refuses direct writes, and says so",
    async () => {
      const { store } = await savedRun([10]);
      const inject = "pwrite64:error=EINVAL:when=1";
      const { lines, trace } = await end(saver(store, { steps: [20, 30], bytes: 20_000_123, inject }));
      expect(lines).toEqual(["saved 20", "saved 30"]);
      expect(trace.match(/TRAININGRUN_BUFFERED_IO/g)).toHaveLength(1);
      expect(await expectWhole(store.root, [30])).toBe(30);
    },
  );

  test.skipIf(!canTrace)("when it is full leaves nothing of the failed save behind", async () => {
    const { store } = await savedRun([10]);
    const { lines } = await end(saver(store, { steps: [20], bytes: 1000, inject: "fsync:error=ENOSPC:when=1" }));
    expect(lines[0]).toContain("answered ENOSPC");
    expect(lines[0]).toContain("free space or raise its size");
    expect(await readdir(join(store.root, "data"))).toEqual(["step-000000000010-a0001"]);
  });
});

function traces(): boolean {
  try {
    execFileSync("strace", ["-qq", "-e", "trace=none", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
