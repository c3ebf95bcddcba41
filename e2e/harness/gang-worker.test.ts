import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AgentProcess, buildAgentOnce, Pod, removeAgent } from "../../agent/test/agent-process.ts";

/*
 * A gang of two without a cluster: two pods' agents and trainers as processes, one directory that both pods mount, and
 * nobody but the test to begin an attempt when the last one is over.
 */

beforeAll(buildAgentOnce);
afterAll(removeAgent);

const size = 2;
const steps = 60;
const every = 5;

/** One attempt of the gang: each worker's pod, its agent and its trainer. */
class Attempt implements AsyncDisposable {
  readonly pods: readonly Pod[];
  readonly agents: readonly AgentProcess[];
  readonly trainers: readonly ChildProcess[];
  readonly #termination: readonly string[];

  constructor(number: number, { volume, port, interval }: { volume: string; port: number; interval: number }) {
    this.pods = Array.from({ length: size }, (_, worker) => {
      const uid = { TRAININGRUN_ATTEMPT: String(number), TRAININGRUN_POD_UID: `pod-${number}-${worker}` };
      const gang = { TRAININGRUN_WORKER: String(worker), TRAININGRUN_WORKERS: String(size) };
      const rendezvous = { MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(port), GANG_STEPS: String(steps) };
      const shared = { TRAININGRUN_CHECKPOINTS: volume, TRAININGRUN_INTERVAL: JSON.stringify({ steps: interval }) };
      return new Pod({ ...uid, ...gang, ...rendezvous, ...shared, GANG_STEP_MS: "8" });
    });
    this.agents = this.pods.map((pod) => pod.start("serve"));
    this.#termination = this.pods.map(({ root }) => join(root, "trainer-termination-log"));
    this.trainers = this.pods.map(({ variables }, worker) =>
      spawn(process.execPath, [join(import.meta.dirname, "gang-worker.ts")], {
        env: { PATH: String(process.env.PATH), ...variables, TRAININGRUN_TERMINATION_LOG: this.#termination[worker] },
        stdio: ["ignore", "ignore", "inherit"],
      }),
    );
  }

  /** Waits until a worker has done so many steps. */
  async reached(worker: number, step: number): Promise<void> {
    for (const until = performance.now() + 40_000; performance.now() < until; await sleep(5)) {
      if (this.#stepOf(worker) >= step) return;
    }
    throw new Error(`Worker ${worker} did not come to step ${step}: ${this.#stepOf(worker)}`);
  }

  /** The exit codes of the trainers, null for one that was killed; then the agents are told to stop, as a kubelet would. */
  async ends(): Promise<(number | null)[]> {
    const codes = await Promise.all(this.trainers.map((trainer) => exitOf(trainer)));
    await Promise.all(this.agents.map((agent) => agent.end("SIGTERM")));
    return codes;
  }

  record(worker: number): TrainerRecord {
    return TrainerRecord.parse(JSON.parse(readFileSync(this.#termination[worker] ?? "", "utf8")));
  }

  /** The step that a worker's agent handed over; 0 for the beginning. */
  resumedAt(worker: number): number {
    const record = this.agents[worker]?.record();
    return record?.kind === "served" ? (record.resumedFrom?.step ?? 0) : Number.NaN;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const trainer of this.trainers) trainer.kill("SIGKILL");
    for (const pod of this.pods) await pod[Symbol.asyncDispose]();
  }

  #stepOf(worker: number): number {
    try {
      return Progress.parse(JSON.parse(this.pods[worker]?.read("control/progress.json") ?? "")).step;
    } catch {
      return 0;
    }
  }
}

/** A run's volume and the attempts on it. */
class Run implements Disposable {
  readonly volume = mkdtempSync(join(tmpdir(), "gang-"));
  #attempts = 0;

  async next({ interval = every }: { interval?: number } = {}): Promise<Attempt> {
    this.#attempts += 1;
    return new Attempt(this.#attempts, { volume: this.volume, port: await freePort(), interval });
  }

  /** Steps in the log, with the attempt that saved each. */
  async committed(): Promise<string[]> {
    const { state } = await readLog(new DirectoryStore(this.volume, "run-uid"));
    return state.checkpoints.map(({ step, attempt }) => `${step} of ${attempt}`);
  }

  [Symbol.dispose](): void {
    rmSync(this.volume, { recursive: true, force: true });
  }
}

async function exitOf(trainer: ChildProcess): Promise<number | null> {
  if (trainer.exitCode === null && trainer.signalCode === null) await once(trainer, "exit");
  return trainer.exitCode;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("Cannot find a free port");
  return address.port;
}

/** The digests of all workers' final states, of an attempt that runs to its end. */
async function finish(attempt: Attempt): Promise<(string | undefined)[]> {
  expect(await attempt.ends()).toEqual([0, 0]);
  return Array.from({ length: size }, (_, worker) => {
    const record = attempt.record(worker);
    return record.kind === "done" ? record.weights : undefined;
  });
}

test("a gang of two ends in the same state to the last bit, after three interruptions as after none", async () => {
  using undisturbed = new Run();
  await using whole = await undisturbed.next();
  const expected = await finish(whole);
  expect(new Set(expected).size).toBe(size);
  expect(expected).not.toContain(undefined);

  using run = new Run();
  let stoppedAt: number;
  {
    // One worker's pod is asked to stop: all stop at the same step, with a checkpoint of it.
    await using first = await run.next();
    await first.reached(1, 12);
    first.trainers[1]?.kill("SIGTERM");
    expect(await first.ends()).toEqual([143, 143]);
    const records = [first.record(0), first.record(1)];
    stoppedAt = records[0]?.kind === "incompatible" ? Number.NaN : (records[0]?.step ?? Number.NaN);
    expect(stoppedAt).toBeGreaterThanOrEqual(12);
    expect(records[1]).toMatchObject({ kind: "preempted", step: stoppedAt, finalCheckpoint: "Saved" });
    const checkpoint = records[1]?.kind === "preempted" ? records[1].checkpoint : null;
    expect(records[0]).toMatchObject({ kind: "preempted", finalCheckpoint: "Saved", checkpoint });
    expect((await run.committed()).at(-1)).toBe(`${stoppedAt} of 1`);
  }
  {
    // One worker is killed: the other cannot go on.
    await using second = await run.next();
    await second.reached(0, stoppedAt + 2 * every + 1);
    second.trainers[1]?.kill("SIGKILL");
    expect(await second.ends()).toEqual([1, null]);
    expect([second.resumedAt(0), second.resumedAt(1)]).toEqual([stoppedAt, stoppedAt]);
  }
  {
    // All of worker 0's pod is gone at once, and with it whoever commits.
    await using third = await run.next();
    const before = Number.parseInt((await run.committed()).at(-1) ?? "", 10);
    await third.reached(0, before + 2 * every + 1);
    third.trainers[0]?.kill("SIGKILL");
    await third.agents[0]?.end("SIGKILL");
    expect(await third.ends()).toEqual([null, 1]);
    // What had come together when the agent was told to stop is the next restore's to commit.
    expect(third.resumedAt(1)).toBeGreaterThanOrEqual(before);
  }
  await using last = await run.next();
  expect(await finish(last)).toEqual(expected);
  expect((await run.committed()).at(-1)).toBe(`${steps} of 4`);
  expect(last.agents[0]?.record()).toMatchObject({
    kind: "served",
    done: expect.any(String),
    latestVerified: { step: steps },
  });
});

test("what worker 0 is asked to save, and it alone, all workers save at one step", async () => {
  using run = new Run();
  await using attempt = await run.next({ interval: 10 * steps });
  const requests = attempt.pods.map(({ root }) => join(root, "control/save"));
  // Before their first step: none begins before its agent has handed over where.
  for (const request of requests) writeFileSync(request, "");
  await finish(attempt);
  expect(await run.committed()).toEqual(["1 of 1", `${steps} of 1`]);
  expect(requests.map((request) => existsSync(request))).toEqual([false, true]);
});
