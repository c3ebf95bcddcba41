import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { expectedCause } from "../harness/expected-cause.ts";
import { type Installation, install } from "../harness/installation.ts";
import { interruptionKinds } from "../harness/interruptions.ts";
import { LiveView } from "../harness/live-view.ts";
import { RunAccess, until } from "../harness/run-access.ts";
import { conditionOf, hasEnded, type RunView } from "../harness/run-view.ts";
import { findRunVolume, weightsDigest } from "../harness/run-volume.ts";
import { type WatchedRun, watchRun } from "../harness/watched-run.ts";
import { mnistManifest } from "../measure/trained-run.ts";

/*
 * The main job on a real cluster, on the nodes that this machine allows: container nodes need root, process nodes nothing.
 * Everything here is seen from outside: the API server, the volume's files, signals.
 */

const ways = ["processes", "containers"] as const;
const steps = 400;
const intervalSteps = 50;
const env = { MNIST_STEPS: `${steps}`, MNIST_STEP_MS: "30", MNIST_EVALUATE_EVERY: "100" };
const limit = () => AbortSignal.timeout(300_000);
const mayUseContainers = process.platform === "linux" && process.getuid?.() === 0;

describe.each(ways)("on a cluster of %s", (way) => {
  const isPossible = way === "processes" || mayUseContainers;
  let installation: Installation;
  let directory: string;

  beforeAll(async () => {
    if (!isPossible) return;
    directory = await mkdtemp(join(tmpdir(), "trainingrun-main-job-"));
    const report = (line: string) => console.log(`  ${line}`);
    installation = await install({
      directory: join(directory, "cluster"),
      way,
      report,
      // Before Vitest gives the hook up, so that what was begun is ended here.
      signal: AbortSignal.timeout(840_000),
    });
  });

  afterAll(async () => {
    if (!isPossible) return;
    await installation?.remove();
    await rm(directory, { recursive: true, force: true });
  });

  beforeEach(({ skip }) => skip(!isPossible, "container nodes need root on Linux"));

  const access = (name: string) => new RunAccess(installation.api, { namespace: "default", name });

  async function start(
    name: string,
    changes: (manifest: Manifest) => Manifest = (manifest) => manifest,
  ): Promise<RunAccess> {
    const run = access(name);
    await run.create(changes(await mnistManifest({ env, intervalSteps })));
    return run;
  }

  async function trainToTheEnd(run: RunAccess, plan: Plan): Promise<WatchedRun & { weights: string }> {
    const watched = await watchRun({ api: installation.api, access: run, view: new LiveView(), plan, signal: limit() });
    const final = watched.run.status.latestVerified;
    return { ...watched, weights: final === undefined ? "none" : await weightsDigest(watched.volume, final) };
  }

  test("a run interrupted in every way ends with the weights of one left alone", async () => {
    const undisturbed = await trainToTheEnd(await start("undisturbed"), []);
    const plan = interruptionKinds.map((kind, index) => ({ kind, at: 0.15 + 0.15 * index }));
    const interrupted = await trainToTheEnd(await start("interrupted"), plan);
    expect(undisturbed.run.status).toMatchObject({ state: "Complete", attempt: 1, latestVerified: { step: steps } });
    expect(interrupted.weights).toBe(undisturbed.weights);
    expect(interrupted.run.status).toMatchObject({
      state: "Complete",
      attempt: 6,
      latestVerified: { step: steps },
      refused: [{ reason: "BytesDiffer" }],
      retry: { disruptions: 3 },
      totals: { disruptions: 3, failures: 1 },
    });
    const ledger = interrupted.run.status.attempts.toReversed();
    const causes = interruptionKinds.map((kind) => expectedCause[kind]);
    expect(ledger.map(({ cause }) => cause)).toEqual([...causes, "Complete"]);
    expect(ledger.slice(0, 3).map(({ lostSteps }) => lostSteps)).toEqual([0, 0, 0]);
    // The interval, and what passed while a save was in flight (I4).
    expect(ledger[3]?.lostSteps).toBeLessThan(2 * intervalSteps);
    expect(ledger[4]?.finalCheckpoint).toBe("Saved");
    expect(ledger[5]?.resumedFrom?.step).toBeLessThan(interrupted.run.status.refused[0]?.step ?? 0);
  });

  test("a deleted run saves once more, leaves nothing but its data, and a namesake starts anew", async () => {
    const run = await start("deleted");
    const before = await run.waitFor(
      "a verified checkpoint",
      limit(),
      ({ status }) => status.latestVerified !== undefined,
    );
    const volume = await findRunVolume(installation.api, before);
    await run.remove(limit());
    // The run goes once its pods are accounted for; their objects follow it, by the cluster's garbage collector.
    await until("the run's pods to be gone", limit(), async () => (await run.pods()).length === 0);
    const kept = (await readdir(join(volume.directory, "data"))).filter((name) => name.startsWith("step-"));
    const newest = Number(kept.toSorted().at(-1)?.slice("step-".length).split("-")[0]);
    expect(newest).toBeGreaterThan(before.status.latestVerified?.step ?? 0);
    const namesake = await start("deleted");
    const fresh = await namesake.waitFor(
      "its first step",
      limit(),
      ({ status }) => status.attempts[0]?.firstStepTime !== undefined,
    );
    expect(fresh.status.attempts[0]?.resumedFrom).toBeUndefined();
    await namesake.remove(limit());
  });

  test("a trainer that does no step any more is stopped, says what held it up, and goes on from its newest checkpoint", async () => {
    const run = await start("stalled", (manifest) => stallingAt(120, manifest));
    const seen = await run.waitFor("its end", limit(), hasEnded);
    expect(conditionOf(seen, "Complete")?.status).toBe("True");
    const [last, first] = seen.status.attempts;
    expect(seen.status.attempts).toMatchObject([
      { number: 2, cause: "Complete" },
      { number: 1, cause: "Stalled", dump: expect.stringContaining("at holdsTheThread (") },
    ]);
    expect(last?.resumedFrom?.step).toBeGreaterThanOrEqual(intervalSteps);
    expect(seen.status.totals).toMatchObject({ stalls: 1, failures: 1, disruptions: 0 });
    const volume = await findRunVolume(installation.api, seen);
    const dumps = await readdir(join(volume.directory, "diagnostics"));
    expect(dumps).toEqual([expect.stringMatching(/^attempt-1-worker-0-step-\d+\.txt$/)]);
    const { step } = /step-(?<step>\d+)/.exec(dumps[0] ?? "")?.groups ?? {};
    expect(Number(step)).toBe(first?.lastStep);
    await run.remove(limit());
  });

  describe("what cannot work says so, starts no loop and loses nothing", () => {
    const trainer = (over: Record<string, unknown>) => (manifest: Manifest) => withTrainer(manifest, over);
    const blocked: readonly [string, (manifest: Manifest) => Manifest, RegExp][] = [
      [
        "an image that nobody has",
        trainer({ image: "localhost/trainingrun/unknown:dev", imagePullPolicy: "Never" }),
        /trainingrun\/unknown|ErrImageNeverPull/,
      ],
      ["a command under sh -c", trainer({ command: ["sh", "-c", "node train.mjs"] }), /exec/],
      ["a claim that cannot bind", withStorageClass("nowhere"), /nowhere|unbound/],
      [
        "a GPU that no node has",
        trainer({ resources: { limits: { "nvidia.com/gpu": 64 } } }),
        /Insufficient nvidia\.com\/gpu/,
      ],
    ];
    test.each(blocked)("%s", async (_what, changes, words) => {
      const run = await start("blocked", changes);
      const seen = await run.waitFor("a condition with the cause", limit(), (view) => words.test(stuckWords(view)));
      expect(conditionOf(seen, "Progressing")?.status).toBe("False");
      expect(seen.status.attempt ?? 0).toBeLessThanOrEqual(1);
      expect((await run.pods()).length).toBeLessThanOrEqual(1);
      expect(seen.status.retry?.disruptions ?? 0).toBe(0);
      await run.remove(limit());
    });

    test("a program that knows nothing of the contract and exits 0", async () => {
      const quit = trainer({ command: ["node", "-e", "console.log('nothing to do')"] });
      const run = await start("no-contract", (manifest) =>
        withRetry(quit(manifest), { failures: 1, backoff: { initialSeconds: 1, maxSeconds: 1 } }),
      );
      const seen = await run.waitFor("its end", limit(), hasEnded);
      expect(conditionOf(seen, "Failed")).toMatchObject({
        status: "True",
        message: expect.stringContaining("done record"),
      });
      expect(seen.status.attempts.map(({ cause }) => cause)).toEqual(["Incomplete", "Incomplete"]);
      await run.remove(limit());
    });
  });
});

type Manifest = Awaited<ReturnType<typeof mnistManifest>>;
type Plan = Parameters<typeof watchRun>[0]["plan"];

function withTrainer(manifest: Manifest, over: Readonly<Record<string, unknown>>): Manifest {
  const { spec } = manifest;
  const containers = spec.template.spec.containers.map((container) => ({ ...container, ...over }));
  return {
    ...manifest,
    spec: { ...spec, template: { ...spec.template, spec: { ...spec.template.spec, containers } } },
  };
}

/** Spins in a function of its own from about this step on, in the first attempt alone. The shortest watch that the API allows. */
function stallingAt(step: number, manifest: Manifest): Manifest {
  const hang = `
    import { readFileSync } from "node:fs";
    const { TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_CONTROL: control } = process.env;
    function holdsTheThread() { for (;;); }
    function stepNow() { try { return JSON.parse(readFileSync(control + "/progress.json", "utf8")).step; } catch { return 0; } }
    if (attempt === "1") setInterval(() => { if (stepNow() >= ${step}) holdsTheThread(); }, 50).unref();`;
  const module = `data:text/javascript,${encodeURIComponent(hang)}`;
  const { spec } = manifest;
  const containers = spec.template.spec.containers.map((container) => ({
    ...container,
    args: ["--import", module, ...(Array.isArray(container.args) ? container.args : [])],
  }));
  const template = { ...spec.template, spec: { ...spec.template.spec, containers, terminationGracePeriodSeconds: 10 } };
  return { ...manifest, spec: { ...spec, template, stall: { timeoutSeconds: 30 } } };
}

function withStorageClass(storageClassName: string): (manifest: Manifest) => Manifest {
  const claimTemplate = {
    storageClassName,
    accessModes: ["ReadWriteOnce"],
    resources: { requests: { storage: "1Gi" } },
  };
  return (manifest) => ({
    ...manifest,
    spec: { ...manifest.spec, checkpoint: { ...manifest.spec.checkpoint, volume: { claimTemplate } } },
  });
}

function withRetry(manifest: Manifest, retry: unknown): Manifest {
  return { ...manifest, spec: { ...manifest.spec, retry } };
}

/** Why the run does not advance, in its own words. */
function stuckWords(run: RunView): string {
  const condition = conditionOf(run, "Progressing");
  return condition?.status === "False" ? `${condition.reason}: ${condition.message}` : "";
}
