import { readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { parse } from "yaml";
import { z } from "zod";
import { down } from "../cluster/cluster.ts";
import { projectDirectory } from "../cluster/images/project-images.ts";
import { tryHold } from "../cluster/processes/lock.ts";
import { startClusterStore } from "../harness/cluster-store.ts";
import { type Installation, install } from "../harness/installation.ts";
import { LiveView } from "../harness/live-view.ts";
import { RunAccess } from "../harness/run-access.ts";
import { backendOf, weightsDigest } from "../harness/run-volume.ts";
import { type WatchedRun, watchRun } from "../harness/watched-run.ts";
import { commitOfTree } from "../measure/commit.ts";
import { checksOf } from "./checks.ts";
import { printLedger } from "./ledger.ts";
import { type DemoReport, renderReport } from "./report.ts";
import { describeReport } from "./report-data.ts";
import { scrapeProducts } from "./scrape.ts";

/*
 * make demo: a real cluster, the chart, one training that is interrupted in every way and one that is not, and a comparison
 * of what they ended with. Exits 0 only when every promise held.
 *
 *   node e2e/demo/main.ts [--native] [--object-store] [up | down]
 *
 * With --native the trainings run on TensorFlow itself instead of WebAssembly. With --object-store their checkpoints are
 * mirrored to a real S3 server as well, and instead of a flipped bit the whole volume is wiped between two attempts.
 */

const directory = join(projectDirectory, ".build", "demo");
// Beside the cluster, not in it: what is in a cluster's directory is the cluster's.
const scrapeDirectory = join(projectDirectory, ".build", "demo-prometheus");
const storeDirectory = join(projectDirectory, ".build", "demo-object-store");
const reportPath = join(projectDirectory, "demo-report.html");
const namespace = "default";
const limitMs = 45 * 60_000;

type Plan = Parameters<typeof watchRun>[0]["plan"];

/** The interruptions, each once the run has passed that share of its steps. */
const planOf = ({ objectStore }: Pick<Settings, "objectStore">): Plan => [
  { kind: "eviction", at: 0.12 },
  { kind: "eviction during a save", at: 0.28 },
  { kind: "preemption", at: 0.44 },
  { kind: "SIGKILL", at: 0.6 },
  { kind: objectStore ? "lost volume" : "damaged checkpoint", at: 0.76 },
];

type Settings = Readonly<{ native: boolean; objectStore: boolean; signal: AbortSignal }>;

async function demo({ native, objectStore, signal }: Settings): Promise<boolean> {
  const stages = stageCounter(5);
  stages("a Kubernetes cluster with the operator on it");
  // The report of an earlier demo must not be taken for this one's.
  await rm(reportPath, { force: true });
  const report = (line: string) => console.log(`  ${line}`);
  const installation = await install({ directory, report, signal, native });
  try {
    console.log(`  kubectl: export KUBECONFIG=${installation.cluster.kubeconfigPath}`);
    await removeOldRuns(installation, signal);
    return await show(installation, stages, { native, objectStore, signal });
  } finally {
    await installation.api.close();
  }
}

async function show(installation: Installation, stages: Stages, settings: Settings): Promise<boolean> {
  const { objectStore, signal } = settings;
  const manifestPath = join("examples", "mnist.yaml");
  const plan = planOf(settings);
  const where = { directory: storeDirectory, namespace, signal };
  const store = objectStore ? await startClusterStore(installation, where) : undefined;
  const scraping = await scrapeProducts({ installation, directory: scrapeDirectory, objectStore, signal });
  try {
    const example = parse(await readFile(join(projectDirectory, manifestPath), "utf8"));
    const manifest = store?.withStore(example) ?? example;
    stages(
      `kubectl apply -f ${manifestPath}${store ? " (with an object store)" : ""}, and ${plan.length} interruptions`,
    );
    if (store === undefined) await installation.kubectl("apply", "-f", join(projectDirectory, manifestPath));
    else await new RunAccess(installation.api, { namespace, name: "mnist" }).create(manifest);
    const interrupted = await watch(installation, "mnist", { ...settings, plan });

    stages("the same training undisturbed");
    await new RunAccess(installation.api, { namespace, name: "mnist-undisturbed" }).create(manifest);
    const undisturbed = await watch(installation, "mnist-undisturbed", { ...settings, plan: [] });

    stages("what Prometheus saw");
    const scraped = await scraping.read(signal);
    for (const { query, value, expected } of scraped) console.log(`  ${query} = ${value} (expected: ${expected})`);

    stages("the comparison");
    return await conclude({ installation, interrupted, undisturbed, scraped, plan });
  } finally {
    await scraping.stop();
    await store?.stop();
  }
}

async function watch(
  { api }: Installation,
  name: string,
  { plan, native, signal }: Settings & { plan: Plan },
): Promise<WatchedRun & { weights: string }> {
  const view = new LiveView();
  const watched = await watchRun({ api, access: new RunAccess(api, { namespace, name }), view, plan, signal });
  view.say(`the run ended: ${watched.run.status.state}`);
  const final = watched.run.status.latestVerified;
  if (final === undefined) return { ...watched, weights: "none" };
  const { backend, device } = await backendOf(watched.volume, final);
  view.say(`its backend: ${backend} ${JSON.stringify(device)}`);
  if (native && !backend.startsWith("tensorflow-")) {
    throw new Error(`Cannot show TensorFlow at work because the training ran on another backend: ${backend}`);
  }
  return { ...watched, weights: await weightsDigest(watched.volume, final) };
}

async function conclude(seen: {
  installation: Installation;
  interrupted: WatchedRun & { weights: string };
  undisturbed: WatchedRun & { weights: string };
  scraped: DemoReport["scraped"];
  plan: Plan;
}): Promise<boolean> {
  printLedger(seen.interrupted.run);
  const checks = checksOf({ ...seen, planned: seen.plan.map(({ kind }) => kind) });
  const report = describeReport({ ...seen, checks, way: seen.installation.cluster.way, commit: commitOfTree() });
  await writeFile(reportPath, renderReport(report));
  console.log(`  interrupted  ${seen.interrupted.weights}\n  undisturbed  ${seen.undisturbed.weights}`);
  for (const { what, held, seen: value } of checks) console.log(`  ${held ? "held  " : "BROKEN"}  ${what}: ${value}`);
  console.log(`  Report: ${relative(process.cwd(), reportPath)}. The cluster runs on; \`make demo-down\` removes it.`);
  return checks.every(({ held }) => held);
}

/** A demo that is run again starts from nothing, also where the last one was stopped halfway. */
async function removeOldRuns({ api }: Installation, signal: AbortSignal): Promise<void> {
  for (const name of ["mnist", "mnist-undisturbed"]) {
    await new RunAccess(api, { namespace, name }).remove(AbortSignal.any([signal, AbortSignal.timeout(120_000)]));
  }
}

type Stages = (what: string) => void;

function stageCounter(total: number): Stages {
  const started = performance.now();
  let stage = 0;
  return (what) => {
    stage += 1;
    console.log(`\n[${stage}/${total}] ${what} (${Math.round((performance.now() - started) / 1000)} s so far)`);
  };
}

type Arguments = Omit<Settings, "signal"> & Readonly<{ command: "up" | "down" }>;

async function main({ command, ...settings }: Arguments): Promise<number> {
  if (command === "down") {
    await down({ directory });
    for (const left of [scrapeDirectory, storeDirectory]) await rm(left, { recursive: true, force: true });
    console.log("The demo's cluster is gone.");
    return 0;
  }
  // Two demos at once would delete each other's runs.
  const hold = await tryHold(`the demo of ${projectDirectory}`);
  if (hold === undefined) throw new Error("Cannot begin because another `make demo` of this tree is at work");
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  try {
    const held = await demo({ ...settings, signal: AbortSignal.any([stop.signal, AbortSignal.timeout(limitMs)]) });
    console.log(held ? "\nThe demo held." : "\nThe demo did NOT hold.");
    return held ? 0 : 1;
  } catch (error) {
    console.error(`\nThe demo stopped: ${wordsOf(stop.signal.aborted ? stop.signal.reason : error)}`);
    console.error(`Logs: ${relative(process.cwd(), directory)}/*.log and below nodes/, those of pods by kubectl.`);
    console.error("Its cluster may still run: `make demo-down` removes it, `make demo` tries again.");
    return 1;
  } finally {
    hold.release();
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      native: { type: "boolean", default: false },
      "object-store": { type: "boolean", default: false },
    },
  });
  process.exitCode = await main({
    command: z.enum(["up", "down"]).parse(positionals[0] ?? "up"),
    native: values.native,
    objectStore: values["object-store"],
  });
} catch (error) {
  console.error(wordsOf(error));
  process.exitCode = 1;
}
