import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

/* Fault F16 at the exit: a call to the volume that does not return holds no process, and with it no device, for ever. */

const program = join(import.meta.dirname, "hung-save.ts");
const firstProcess = ["unshare", "--pid", "--fork", "--kill-child"];
const mayUnshare = spawnSync(firstProcess[0] ?? "", [...firstProcess.slice(1), "true"]).status === 0;

/** What becomes of a process that comes to this end while a save hangs; killed, and without a status, after a while. */
function ended(end: string, before: readonly string[] = []) {
  const root = mkdtempSync(join(tmpdir(), "hung-exit-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const [file = "", ...parameters] = [...before, process.execPath, program, root, end];
  const options = { cwd: root, encoding: "utf8", timeout: 60_000, killSignal: "SIGKILL" } as const;
  const { status, signal, stdout } = spawnSync(file, parameters, options);
  return { status, signal, stdout };
}

const ends: [what: string, end: string, status: number][] = [
  ["whose last save is stuck", "stuck", 1],
  ["that another attempt has fenced", "fenced", 4],
  ["that throws", "thrown", 1],
  ["whose script catches what its training threw", "caught", 0],
];

test.each(ends)("a process %s ends at once, after whoever listens for that", (_, end, status) => {
  expect(ended(end)).toEqual({ status, signal: null, stdout: `exit ${status}\n` });
});

test.skipIf(!mayUnshare).each(ends)("so does the first process of a container %s", (_, end, status) => {
  expect(ended(end, firstProcess)).toEqual({ status, signal: null, stdout: `exit ${status}\n` });
});

test.skipIf(!mayUnshare)("a first process that may start no other program ends all the same", () => {
  const { status, signal, stdout } = ended("without another program", firstProcess);
  // As libc has it: by SIGABRT, or where the kernel keeps that from it, by the fault that it makes then.
  expect([stdout, signal ?? status]).toEqual(["exit 4\n", expect.toBeOneOf([134, 139, "SIGABRT", "SIGSEGV"])]);
});
