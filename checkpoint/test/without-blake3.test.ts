import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { readLog } from "../src/log/read.ts";
import { verifyCheckpoint } from "../src/verify.ts";
import { runUid, savedRun, temporaryStore } from "./fixture.ts";

/** Runs a program of `processes/` as on a machine that the native BLAKE3 package is not built for. */
async function withoutBlake3(program: string, ...args: string[]): Promise<string> {
  const loader = join(import.meta.dirname, "without-blake3.ts");
  const script = join(import.meta.dirname, "processes", program);
  return (await promisify(execFile)(process.execPath, ["--import", loader, script, ...args])).stdout;
}

test("a machine without BLAKE3 saves with SHA-256, and one that has both reads it", async () => {
  const store = await temporaryStore();
  expect(await withoutBlake3("open-once.ts", store.root, runUid, "pod", "1")).toBe("appended\n");
  expect(await withoutBlake3("save-steps.ts", store.root, runUid, "1", "9000000", "7")).toBe("saved 7\n");
  const [ref] = (await readLog(store)).state.checkpoints;
  expect(ref?.digest).toMatch(/^sha256:/);
  expect(await verifyCheckpoint(store, ref ?? { digest: null, directory: "" })).toMatchObject({ ok: true });
});

test("a machine without BLAKE3 that meets its digests says so, and takes nothing for damaged", async () => {
  const { store } = await savedRun([10]);
  const said = await withoutBlake3("save-steps.ts", store.root, runUid, "1", "100", "20");
  expect(said).toMatch(
    /^failed 20 SaveFailedError: .*Cannot hash with BLAKE3 because the native package .* did not load/,
  );
  expect((await readLog(store)).state).toMatchObject({ last: 2, damaged: [], checkpoints: [{ step: 10 }] });
});
