import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { type Interval, nothingExpected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import type { RunState } from "@trainingrun/checkpoint/log/state.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { buildSync } from "esbuild";
import { afterAll } from "vitest";

const root = resolve(import.meta.dirname, "..", "..");
const runUid = "run-under-test";

/** The example that needs no TensorFlow, bundled: a test starts some thirty of these processes. */
const script = bundleLinear();

function bundleLinear(): string {
  // Inside the tree, so that it finds the native packages where it looks for them: above itself.
  mkdirSync(join(root, ".build"), { recursive: true });
  const directory = mkdtempSync(join(root, ".build", "trainer-test-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  buildSync({
    entryPoints: {
      linear: join(root, "examples", "linear", "train.ts"),
      "writer-thread": join(root, "trainer", "src", "saving", "writer-thread.ts"),
      "dump-thread": join(root, "trainer", "src", "diagnostics", "dump-thread.ts"),
    },
    outdir: directory,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node24",
  });
  return join(directory, "linear.mjs");
}

/** How a trainer's process ended and what it left behind. */
export type PodEnd = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  readonly record: TrainerRecord | null;
  readonly progress: Progress | null;
};

/** The volume of one run, and the pods that train on it one after the other. The test plays kubelet and agent. */
export class TestRun implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "trainer-"));
  attempt = 0;

  get checkpoints(): string {
    return join(this.directory, "volume");
  }

  async state(): Promise<RunState> {
    const { state } = await readLog(await openDirectoryStore(this.checkpoints, { runUid }));
    return state;
  }

  /** Starts the next attempt's trainer. `restored` says whether the agent has done its work by then. */
  async startPod(options: {
    settings: Readonly<Record<string, number>>;
    interval?: Interval;
    graceSeconds?: number;
    restored?: "before" | "never";
    variables?: Readonly<Record<string, string>>;
  }): Promise<TestPod> {
    this.attempt += 1;
    mkdirSync(this.checkpoints, { recursive: true });
    const pod = new TestPod(this, options);
    if (options.restored !== "never") pod.announce(await this.restore(this.attempt));
    return pod;
  }

  /** The agent's part: chooses where the attempt starts, and opens it in the log. */
  async restore(attempt: number): Promise<Restored> {
    const outcome = await restoreRun(await openDirectoryStore(this.checkpoints, { runUid }), {
      runUid,
      attempt,
      podUid: `pod-${attempt}`,
      node: "test-node",
      generation: 1,
      expected: nothingExpected,
    });
    if (outcome.kind === "failed") throw new Error(outcome.message);
    return outcome.restored;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** One pod with its trainer process. */
export class TestPod {
  readonly control: string;
  readonly ended: Promise<PodEnd>;
  readonly #child;
  #output = "";
  #listeners: (() => void)[] = [];

  constructor(
    run: TestRun,
    { settings, interval = { steps: 20 }, graceSeconds = 20, variables = {} }: Parameters<TestRun["startPod"]>[0],
  ) {
    this.control = join(run.directory, `control-${run.attempt}`);
    mkdirSync(this.control);
    const log = join(run.directory, `termination-${run.attempt}`);
    writeFileSync(log, "");
    const environment = {
      PATH: process.env.PATH,
      TRAININGRUN_NAME: "test",
      TRAININGRUN_NAMESPACE: "default",
      TRAININGRUN_UID: runUid,
      TRAININGRUN_ATTEMPT: String(run.attempt),
      TRAININGRUN_WORKER: "0",
      TRAININGRUN_WORKERS: "1",
      TRAININGRUN_CHECKPOINTS: run.checkpoints,
      TRAININGRUN_RESUME: join(run.directory, "resume"),
      TRAININGRUN_CONTROL: this.control,
      TRAININGRUN_TERMINATION_LOG: log,
      TRAININGRUN_GRACE_SECONDS: String(graceSeconds),
      TRAININGRUN_INTERVAL: JSON.stringify(interval),
      ...variables,
      ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [`LINEAR_${name}`, String(value)])),
    };
    this.#child = spawn(process.execPath, [script], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.on("data", (text) => this.#heard(String(text)));
    this.ended = new Promise((done) => {
      this.#child.on("close", (code, signal) => {
        this.#heard("");
        const progress = read(join(this.control, controlFiles.progress));
        const record = read(log);
        done({
          code,
          signal,
          output: this.#output,
          record: record === null ? null : TrainerRecord.parse(record),
          progress: progress === null ? null : Progress.parse(progress),
        });
      });
    });
  }

  /** Tells the trainer what the agent has chosen. */
  announce(restored: Restored): void {
    this.leave(controlFiles.restored, JSON.stringify(restored));
  }

  leave(name: string, text: string): void {
    writeFileSync(join(this.control, name), text);
  }

  exists(name: string): boolean {
    return existsSync(join(this.control, name));
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Resolves when the trainer has said something like this; rejects when it ended without. */
  async hears(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#output)) {
      if (this.#child.exitCode !== null)
        throw new Error(`The trainer ended without saying ${pattern}: ${this.#output}`);
      await new Promise<void>((resolve) => this.#listeners.push(resolve));
    }
  }

  #heard(text: string): void {
    this.#output += text;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }
}

function read(path: string): unknown {
  if (!existsSync(path)) return null;
  const text = readFileSync(path, "utf8");
  return text === "" ? null : JSON.parse(text);
}
