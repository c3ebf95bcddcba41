import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kill } from "node:process";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { gangRun, gangSize, savedDigests } from "../harness/gang-run.ts";
import { type Installation, install } from "../harness/installation.ts";
import { type PodEnd, PodEnds } from "../harness/pod-ends.ts";
import { RunAccess, until } from "../harness/run-access.ts";
import { hasEnded, type RunView } from "../harness/run-view.ts";
import { findRunVolume, type RunVolume } from "../harness/run-volume.ts";
import { ShardWatch } from "../harness/shard-watch.ts";
import { findTrainerProcess } from "../harness/trainer-process.ts";

/*
 * A gang on a real cluster: scheduler, nodes, the chart's operator, agents as they ship, and one volume that all of its
 * pods mount. Its workers train nothing and save shards; what is done to them is what clusters do.
 */

const settings = {
  ...{ steps: 240, stepMs: 20, intervalSteps: 40, graceSeconds: 25 },
  // Worker 1 is always late, so that a step is a part of a checkpoint for a while.
  shardsApartMs: 700,
  // A worker that has lost the other does not end by itself before it is asked to.
  stayMs: 60_000,
};
/** How a pod ends that is asked to, with its grace period, and whose trainer heeds that. */
const stopped = { graceSeconds: settings.graceSeconds, exitCode: 143 };
const limit = () => AbortSignal.timeout(120_000);

let installation: Installation;
let directory: string;
const over = new AbortController();

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "trainingrun-gang-"));
  const report = (line: string) => console.log(`  ${line}`);
  const signal = AbortSignal.timeout(840_000);
  installation = await install({ directory: join(directory, "cluster"), way: "processes", report, signal });
});

afterAll(async () => {
  over.abort();
  await installation?.remove();
  await rm(directory, { recursive: true, force: true });
});

test("a gang that an eviction and a kill have struck ends in the state of one left alone", async () => {
  const calm = await start("calm");
  const gang = await Gang.start("struck");
  await expectApart(gang);
  const first = await gang.evictWorker(1);
  const second = await gang.killWorker(1, first);
  const ended = await gang.access.waitFor("the end of the gang that was struck", limit(), isOver);
  expect(ended.status).toMatchObject({
    state: "Complete",
    attempt: 3,
    attempts: [{ cause: "Complete", charge: "Nothing" }, { charge: "Failure" }, { charge: "Disruption", lostSteps: 0 }],
    latestVerified: { step: settings.steps, attempt: 3 },
    totals: { disruptions: 1 },
  });
  await gang.watch.stop();
  expect(gang.watch.broken).toEqual([]);
  expect(gang.watch.partialLooks).toBeGreaterThan(0);
  expect(await gang.committed()).not.toContain(`${second.partialStep} of 2`);
  expect(gang.watch.whole.size).toBe((await gang.committed()).length);

  const undisturbed = await calm.waitFor("the end of the gang left alone", limit(), isOver);
  expect(undisturbed.status).toMatchObject({ state: "Complete", attempt: 1 });
  expect(await finalDigests(ended)).toEqual(await finalDigests(undisturbed));
  expect(Object.keys(await finalDigests(ended))).toEqual(["w0000/state.json", "w0001/state.json"]);
});

async function start(name: string): Promise<RunAccess> {
  const access = new RunAccess(installation.api, { namespace: "default", name });
  await access.create(gangRun({ ...settings, name }));
  return access;
}

/** A gang that things are done to, and what is seen of it meanwhile. */
class Gang {
  readonly access: RunAccess;
  readonly watch: ShardWatch;
  readonly #ends: PodEnds;
  readonly #uid: string;
  readonly #volume: RunVolume;

  private constructor(access: RunAccess, seen: Readonly<{ uid: string; volume: RunVolume; ends: PodEnds }>) {
    this.access = access;
    this.#uid = seen.uid;
    this.#volume = seen.volume;
    this.#ends = seen.ends;
    this.watch = new ShardWatch(seen.volume, { runUid: seen.uid, size: gangSize });
  }

  /** Starts a gang and waits until it has saved. */
  static async start(name: string): Promise<Gang> {
    const access = await start(name);
    const { api } = installation;
    const ends = await PodEnds.watch(api, { run: name, signal: over.signal, onError: console.error });
    const saved = ({ status }: RunView) => status.latestVerified !== undefined;
    const run = await access.waitFor("a verified checkpoint", limit(), saved);
    return new Gang(access, { uid: run.metadata.uid, volume: await findRunVolume(api, run), ends });
  }

  pod(attempt: number, worker: number): string {
    return `${this.access.name.name}-${attempt}-${worker}`;
  }

  /** Evicts one worker of attempt 1: both stop at one step, with a checkpoint of it, and the next attempt goes on there. */
  async evictWorker(worker: number): Promise<RunView> {
    await installation.api.expect("POST", `/api/v1/namespaces/default/pods/${this.pod(1, worker)}/eviction`, {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name: this.pod(1, worker), namespace: "default" },
    });
    const { run, ends } = await this.#next(1);
    expect(ends).toEqual([stopped, stopped]);
    const [, evicted] = run.status.attempts;
    expect(evicted).toMatchObject({ cause: "Drained", charge: "Disruption", finalCheckpoint: "Saved" });
    expect(run.status.attempts[0]?.resumedFrom?.step).toBe(evicted?.lastStep);
    return run;
  }

  /**
   * Kills one worker of attempt 2 while worker 0 has saved a step and that one has not: the other is asked to stop, with
   * its grace period, and the step is nobody's.
   */
  async killWorker(worker: number, { status }: RunView): Promise<{ partialStep: number }> {
    const pid = await this.#processOf(2, worker);
    const partialStep = await this.watch.partialStep(2, limit());
    kill(pid, "SIGKILL");
    const { run, ends } = await this.#next(2);
    expect(ends).toEqual([stopped, expect.objectContaining({ exitCode: 137 })]);
    expect(run.status.attempts[1]).toMatchObject({ cause: "Crashed", exitCode: 137, charge: "Failure" });
    const resumed = run.status.attempts[0]?.resumedFrom?.step ?? Number.NaN;
    expect(resumed).toBeGreaterThanOrEqual(status.attempts[0]?.resumedFrom?.step ?? Number.NaN);
    expect(resumed).toBeLessThan(partialStep);
    return { partialStep };
  }

  /** Every checkpoint that the log has, by step and attempt. */
  async committed(): Promise<string[]> {
    const { state } = await readLog(new DirectoryStore(this.#volume.directory, this.#uid));
    return state.checkpoints.map(({ step, attempt }) => `${step} of ${attempt}`);
  }

  /** Waits for the attempt after this one to train, and tells how the pods of this one ended. */
  async #next(attempt: number): Promise<{ run: RunView; ends: PodEnd[] }> {
    const run = await this.access.waitFor(
      `a step of attempt ${attempt + 1}`,
      limit(),
      ({ status }) => status.attempt === attempt + 1 && status.attempts[0]?.firstStepTime !== undefined,
    );
    const endsOf = () => Array.from({ length: gangSize }, (_, worker) => this.#ends.of(this.pod(attempt, worker)));
    await until("the ends of both pods", limit(), async () => endsOf().every(({ exitCode }) => exitCode !== undefined));
    return { run, ends: endsOf() };
  }

  async #processOf(attempt: number, worker: number): Promise<number> {
    const pid = await findTrainerProcess(this.#uid, attempt, worker);
    if (pid === null) throw new Error(`Cannot kill the trainer of ${this.pod(attempt, worker)}: no such process`);
    return pid;
  }
}

/** Each worker is on a node of its own; what names they have is the API server's matter, and tried with that alone. */
async function expectApart(gang: Gang): Promise<void> {
  const on = (await gang.access.pods()).map(({ spec }) => spec.nodeName);
  expect(new Set(on)).toEqual(new Set(installation.cluster.nodes.map(({ name }) => name)));
}

/** Whether the run has ended, and its last attempt stands in the ledger. */
function isOver(run: RunView): boolean {
  return hasEnded(run) && run.status.attempts[0]?.cause !== undefined;
}

async function finalDigests(run: RunView): Promise<Record<string, string>> {
  const final = run.status.latestVerified;
  if (final === undefined) throw new Error(`Cannot compare ${run.metadata.name}: it has no verified checkpoint`);
  return savedDigests(await findRunVolume(installation.api, run), final);
}
