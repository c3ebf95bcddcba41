import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type PodEnd, TestRun } from "./pod.ts";

/* What a trainer that stands still says that it is doing, when the agent asks for it. */

const longest = { timeout: 120_000 };
const thread = new URL("../src/diagnostics/answer-dump-requests.ts", import.meta.url).href;

/** A process that answers requests for a dump and then runs `stands`, with a control directory of its own. */
function standing(stands: string): { child: ChildProcess; control: string } {
  const control = mkdtempSync(join(tmpdir(), "dump-"));
  execFileSync("mkfifo", [join(control, "fifo")]);
  const script = `
    import { openSync, readSync } from "node:fs";
    import { answerDumpRequests } from ${JSON.stringify(thread)};
    const control = ${JSON.stringify(control)};
    answerDumpRequests({ kind: "pod", stallSeconds: 30, control });
    function holdsTheThread() { ${stands} }
    console.log("standing");
    holdsTheThread();
  `;
  const env = { ...process.env, A_SECRET: "the very secret" };
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
    rmSync(control, { recursive: true, force: true });
  });
  return { child, control };
}

async function dumpOf(control: string): Promise<string> {
  writeFileSync(join(control, "dump-request"), "");
  await expect.poll(() => existsSync(join(control, "dump")), { timeout: 60_000 }).toBe(true);
  expect(existsSync(join(control, "dump-request"))).toBe(false);
  return readFileSync(join(control, "dump"), "utf8");
}

const hears = (child: ChildProcess) =>
  new Promise<void>((resolve, reject) => {
    child.stdout?.once("data", () => resolve());
    child.once("exit", () => reject(new Error("The process ended before it stood still")));
  });

test.each([
  ["spins", "for (;;) ;", /^The thread that trains is at:\n {4}at holdsTheThread \(file:.+:\d+:\d+\)\n/],
  ["computes for ever", "for (let sum = 0; ; sum += Math.sin(sum)) ;", /\n {4}at holdsTheThread \(.+\)\n/],
  [
    "waits for a lock that nobody frees",
    "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);",
    /^The thread that trains waits in futex, at:\n {4}at holdsTheThread \(.+\)\n/,
  ],
  [
    "reads what nobody writes",
    'readSync(openSync(control + "/fifo", "r+"), Buffer.alloc(1));',
    /^The thread that trains is blocked outside of JavaScript: it waits in read of .+\/fifo\.\n/,
  ],
  [
    "awaits what does not come",
    "process.stdin.resume(); new Promise(() => undefined); setInterval(() => undefined, 60_000);",
    /^The thread that trains has nothing to do: what it awaits does not come\.\n/,
  ],
])("a process that %s says so", longest, async (_, stands, words) => {
  const { child, control } = standing(stands);
  await hears(child);
  const dump = await dumpOf(control);
  expect(dump).toMatch(words);
  expect(dump).toMatch(new RegExp(`\nThreads of process ${child.pid} .*:\n {4}${child.pid} \\S+ [RSDT]`));
  expect(dump).toContain('"nodejsVersion"');
  expect(dump).not.toContain("the very secret");
  expect(child.exitCode).toBeNull();
});

test.each([
  ["waits in JavaScript", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5000);", "at holdsTheThread"],
  ["hears of it only later", 'readSync(openSync(control + "/fifo", "r+"), Buffer.alloc(1));', "it waits in read"],
])("a process that was asked and %s goes on where it was", longest, async (_, stands, words) => {
  const { child, control } = standing(`${stands} process.exit(7);`);
  await hears(child);
  expect(await dumpOf(control)).toContain(words);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  writeFileSync(join(control, "fifo"), "x", { flag: "r+" });
  expect(await ended).toBe(7);
});

test("being asked changes nothing of what is trained", longest, async () => {
  const settings = { STEPS: 300, WEIGHTS: 2_000, SEED: 11 };
  const weightsOf = ({ record }: PodEnd) => (record?.kind === "done" ? record.weights : undefined);
  using alone = new TestRun();
  const expected = weightsOf(await (await alone.startPod({ settings })).ended);
  using run = new TestRun();
  const variables = { TRAININGRUN_STALL_SECONDS: "900" };
  const pod = await run.startPod({ settings: { ...settings, STEP_MS: 20 }, variables });
  await pod.hears(/step 100 /);
  expect(await dumpOf(pod.control)).toMatch(/^The thread that trains (is at|awaits) /);
  const end = await pod.ended;
  expect(end).toMatchObject({ code: 0, record: { kind: "done", step: 300 } });
  expect(weightsOf(end)).toBe(expected);
});
