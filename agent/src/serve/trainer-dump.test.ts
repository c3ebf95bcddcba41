import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  watch,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { expect, onTestFinished, test } from "vitest";
import { podVariables } from "../../test/sample.ts";
import { readEnvironment } from "../environment.ts";
import { askForDump, maxDumpBytes } from "./trainer-dump.ts";

/** What only an agent is told; the trainer lacks it. */
const agentsOwn = /^TRAININGRUN_(POD_UID|POD_IP|NODE|FRAMEWORK|GENERATION|RETENTION|EXPECTED)$/;
const signal = new AbortController().signal;
/** Long enough for an answer; a test that expects none waits for a shorter time. */
const patient = { signal, waitMs: 20_000 };
const brief = { signal, waitMs: 400 };

function pod() {
  const root = mkdtempSync(join(tmpdir(), "trainer-dump-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const variables = podVariables(root, { TRAININGRUN_UID: `run-${root.slice(-6)}` });
  const control = join(root, "control");
  mkdirSync(control);
  return { root, control, variables, environment: readEnvironment(AgentEnvironment, variables) };
}

/** Puts an answer in place as soon as one is asked for, as the SDK's thread does. */
function answering(control: string, answer: string | ((path: string) => void)): void {
  const make = typeof answer === "string" ? (path: string) => writeFileSync(path, answer) : answer;
  const watcher = watch(control, () => {
    if (!existsSync(join(control, "dump-request"))) return;
    watcher.close();
    rmSync(join(control, "dump-request"), { force: true });
    make(join(control, "dump.new"));
    renameSync(join(control, "dump.new"), join(control, "dump"));
  });
  onTestFinished(() => watcher.close());
}

/** A program that carries the trainer's variables, and has said that it is ready. */
async function trainer(variables: Readonly<Record<string, string>>, program: readonly string[]): Promise<ChildProcess> {
  const own = Object.entries(variables).filter(([name]) => !agentsOwn.test(name));
  const [command = "", ...args] = program;
  const env = { ...Object.fromEntries(own), PATH: String(process.env.PATH) };
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child;
}

const waits = "console.log('ready'); setInterval(() => undefined, 1000);";
const trapping = `process.on("SIGUSR2", () => require("node:fs").appendFileSync(process.env.TRAININGRUN_CONTROL + "/dump", "in step()")); ${waits}`;

test("what the trainer says is what is told, and the request goes", async () => {
  const { control, environment } = pod();
  answering(control, "at spin (train.mjs:3:1)\n");
  expect(await askForDump(environment, patient)).toBe("at spin (train.mjs:3:1)\n");
  expect(existsSync(join(control, "dump-request"))).toBe(false);
});

test("an answer to an earlier request is none to this one", async () => {
  const { control, environment } = pod();
  writeFileSync(join(control, "dump"), "at an earlier place\n");
  expect(await askForDump(environment, brief)).toMatch(/^No answer: .* within 0.4 s/);
  answering(control, "at this place\n");
  expect(await askForDump(environment, patient)).toBe("at this place\n");
});

test("the keys of the object store are not told, whatever the trainer links to them", async () => {
  const { root, control, environment } = pod();
  writeFileSync(join(root, "secretAccessKey"), "the very secret");
  answering(control, (path) => symlinkSync(join(root, "secretAccessKey"), path));
  expect(await askForDump(environment, brief)).toMatch(/^No answer/);
  expect(readlinkSync(join(control, "dump"))).toBe(join(root, "secretAccessKey"));
});

test("a pipe in the place of an answer is not waited for", async () => {
  const { control, environment } = pod();
  execFileSync("mkfifo", [join(control, "dump")]);
  expect(await askForDump(environment, brief)).toMatch(/^No answer/);
});

test("of an answer without end a part is taken, and nothing in it reaches a terminal as a command", async () => {
  const { control, environment } = pod();
  answering(control, `\u001b[2J\ta\u0000b\n${"x".repeat(2 * maxDumpBytes)}`);
  const dump = await askForDump(environment, patient);
  expect(dump.slice(0, 9)).toBe("\ufffd[2J\ta\ufffdb\n");
  expect(dump.length).toBe(maxDumpBytes);
});

test("a process that wishes to be asked by a signal is, and appends its answer", async () => {
  const { control, variables, environment } = pod();
  writeFileSync(join(control, "dump"), "at an earlier place\n");
  await trainer({ ...variables, TRAININGRUN_DUMP_SIGNAL: "SIGUSR2" }, [process.execPath, "-e", trapping]);
  expect(await askForDump(environment, patient)).toBe("in step()");
});

test.each([
  ["does not wish it", {}, trapping],
  ["wishes it and would not survive it", { TRAININGRUN_DUMP_SIGNAL: "SIGUSR2" }, waits],
  ["wishes another signal than those that mean nothing", { TRAININGRUN_DUMP_SIGNAL: "SIGKILL" }, waits],
  ["is another attempt's", { TRAININGRUN_DUMP_SIGNAL: "SIGUSR2", TRAININGRUN_ATTEMPT: "7" }, trapping],
])("a process that %s gets no signal", async (_, over, program) => {
  const { control, variables, environment } = pod();
  const child = await trainer({ ...variables, ...over }, [process.execPath, "-e", program]);
  expect(await askForDump(environment, brief)).toMatch(/^No answer/);
  expect([child.exitCode, child.signalCode, existsSync(join(control, "dump"))]).toEqual([null, null, false]);
});

test("a process that is stopped gives no answer, and is seen to be stopped where it can be seen", async () => {
  const { variables, environment } = pod();
  const child = await trainer(variables, [process.execPath, "-e", waits]);
  child.kill("SIGSTOP");
  expect(await askForDump(environment, brief)).toMatch(
    new RegExp(`^No answer: .* Process ${child.pid} \\(.+\\) is in state T \\(stopped\\)`),
  );
});

const python = spawnSync("python3", ["-c", "import faulthandler"]).status === 0;

test.skipIf(!python)("Python's faulthandler answers while a C function holds the interpreter", async () => {
  const { variables, environment } = pod();
  const program = [
    "import faulthandler, os, signal, time",
    "file = open(os.environ['TRAININGRUN_CONTROL'] + '/dump', 'a')",
    "faulthandler.register(getattr(signal, os.environ['TRAININGRUN_DUMP_SIGNAL']), file=file)",
    "def hold_the_step():",
    "    print('ready', flush=True)",
    "    time.sleep(600)",
    "hold_the_step()",
  ].join("\n");
  await trainer({ ...variables, TRAININGRUN_DUMP_SIGNAL: "SIGUSR1" }, ["python3", "-c", program]);
  expect(await askForDump(environment, patient)).toContain("in hold_the_step");
});
