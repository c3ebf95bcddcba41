import type { MirrorState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { expect, test } from "vitest";
import { podVariables, progressAt, refusedOf, restoredOf, summaryOf } from "../../test/sample.ts";
import { readEnvironment } from "../environment.ts";
import { type Knowledge, nothingKnown } from "./knowledge.ts";
import { AgentMetrics } from "./metrics.ts";
import { agentState } from "./report.ts";

const environment = readEnvironment(AgentEnvironment, podVariables("/trainingrun"));
const volume = { checkpoints: 30, size: 1000, available: 400 };

/** The series of an exposition by name and labels, without the two labels that all of them carry. */
async function scrape(metrics: AgentMetrics): Promise<Record<string, number>> {
  const { text } = await metrics.exposition();
  const series: Record<string, number> = {};
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [, name, labels, value] = /^(\w+)\{(.*)\} (\S+)$/.exec(line) ?? [];
    if (name === undefined || labels === undefined) throw new Error(`not a series: ${line}`);
    expect(labels).toContain('run="mnist",run_namespace="ml"');
    const own = labels.replace(/,?run="mnist",run_namespace="ml"/, "");
    series[own === "" ? name : `${name}{${own}}`] = Number(value === "Nan" ? "NaN" : value);
  }
  return series;
}

function metricsOf(knowledge: Partial<Knowledge>, progress = progressAt(41)): AgentMetrics {
  const state = agentState(environment, { ...nothingKnown, ...knowledge }, { progress, mirror: null });
  return new AgentMetrics(async () => ({ state, volume }), { run: "mnist", run_namespace: "ml" });
}

test("what the state says is shown at the scrape", async () => {
  const series = await scrape(
    metricsOf({
      phase: "Serving",
      shelf: [
        { summary: summaryOf(40), verified: false, kept: [] },
        { summary: summaryOf(30), verified: true, kept: ["last"] },
      ],
    }),
  );
  expect(series).toMatchObject({
    'trainingrun_agent_phase{phase="Serving"}': 1,
    'trainingrun_agent_phase{phase="Fenced"}': 0,
    trainingrun_agent_latest_committed_step: 40,
    trainingrun_agent_latest_verified_step: 30,
    trainingrun_agent_step: 41,
    trainingrun_agent_target_step: 100,
    'trainingrun_agent_trainer_metric{name="loss"}': 0.5,
    'trainingrun_agent_saves_total{result="committed"}': 1,
    trainingrun_agent_save_stall_seconds_total: 0.01,
    'trainingrun_agent_volume_bytes{kind="available"}': 400,
  });
});

test("what saving costs is shown once a save has ended", async () => {
  const progress = progressAt(41);
  const saves = { ...progress.saves, stallP50Seconds: 0.002, stallP99Seconds: 0.004, bytesPerSecond: 1e9 };
  expect(await scrape(metricsOf({}, { ...progress, saves }))).toMatchObject({
    'trainingrun_agent_save_stall_seconds{quantile="0.5"}': 0.002,
    'trainingrun_agent_save_stall_seconds{quantile="0.99"}': 0.004,
    trainingrun_agent_save_bytes_per_second: 1e9,
  });
  expect(Object.keys(await scrape(metricsOf({}, progress))).filter((name) => name.includes("per_second"))).toEqual([
    "trainingrun_agent_steps_per_second",
  ]);
});

test("a save that is going on is shown by how long it has been", async () => {
  const progress = progressAt(41);
  const saves = { ...progress.saves, inFlight: { step: 40, seconds: 130, bytes: 10 } };
  const name = "trainingrun_agent_save_in_flight_seconds";
  expect(await scrape(metricsOf({}, { ...progress, saves }))).toMatchObject({ [name]: 130 });
  expect(await scrape(metricsOf({}, progress))).toMatchObject({ [name]: 0 });
});

test("what the restore refused is shown by reason, and each of them once", async () => {
  const refused = [refusedOf(30), refusedOf(20)];
  const series = await scrape(metricsOf({ restored: { ...restoredOf(10), refused } }));
  expect(series).toMatchObject({
    [`trainingrun_agent_restore_refused_checkpoints{reason="${refused[0]?.reason}"}`]: 2,
    trainingrun_agent_resume_step: 10,
  });
});

test("events are counted as they happen", async () => {
  const metrics = metricsOf({});
  metrics.countVerified(0.02, 100);
  metrics.countVerified(2, 200);
  metrics.countRefused(0.3, refusedOf(1).reason);
  metrics.countPruned("Volume", 50);
  metrics.countPruned("ObjectStore", 70);
  metrics.countUploaded(1000);
  metrics.countMirrored(3);
  metrics.countMirrorFailure("Throttled");
  metrics.countError("prune");
  expect(await scrape(metrics)).toMatchObject({
    trainingrun_agent_checkpoints_verified_total: 2,
    trainingrun_agent_verified_bytes_total: 300,
    'trainingrun_agent_verification_seconds_bucket{le="0.05"}': 1,
    trainingrun_agent_verification_seconds_count: 3,
    'trainingrun_agent_verification_failures_total{reason="ChunkMismatch"}': 1,
    'trainingrun_agent_checkpoints_pruned_total{tier="Volume"}': 1,
    'trainingrun_agent_pruned_bytes_total{tier="Volume"}': 50,
    'trainingrun_agent_pruned_bytes_total{tier="ObjectStore"}': 70,
    trainingrun_agent_mirror_uploaded_bytes_total: 1000,
    trainingrun_agent_checkpoints_mirrored_total: 1,
    'trainingrun_agent_mirror_seconds_bucket{le="10"}': 1,
    'trainingrun_agent_mirror_failures_total{problem="Throttled"}': 1,
    'trainingrun_agent_errors_total{operation="prune"}': 1,
  });
});

test("what is not known has no series, and a diverged loss is shown as it is", async () => {
  const series = await scrape(metricsOf({}, progressAt(1, { metrics: [{ name: "loss", value: "NaN" }] })));
  expect(Object.keys(series).filter((name) => /verified_step|resume_step|restore_seconds/.test(name))).toEqual([]);
  expect(series['trainingrun_agent_trainer_metric{name="loss"}']).toBeNaN();
});

test("a second scrape shows the trainer's totals once, and drops measurements that it no longer makes", async () => {
  let progress = progressAt(1, { metrics: [{ name: "old", value: "1" }] });
  const metrics = new AgentMetrics(
    async () => ({ state: agentState(environment, nothingKnown, { progress, mirror: null }), volume }),
    {
      run: "mnist",
      run_namespace: "ml",
    },
  );
  await scrape(metrics);
  progress = progressAt(2);
  const series = await scrape(metrics);
  expect(series['trainingrun_agent_saves_total{result="committed"}']).toBe(1);
  expect(Object.keys(series).filter((name) => name.includes("trainer_metric"))).toEqual([
    'trainingrun_agent_trainer_metric{name="loss"}',
  ]);
});

test("a run with an object store shows how far its mirror is, and one without shows no such series", async () => {
  const mirror: MirrorState = {
    latestStep: 30,
    lagSteps: 10,
    lagBytes: 4096,
    lagSeconds: 2.5,
    uploading: null,
    bytesPerSecond: 1000,
    problem: null,
  };
  const state = agentState(environment, nothingKnown, { progress: null, mirror });
  const labels = { run: "mnist", run_namespace: "ml" };
  expect(await scrape(new AgentMetrics(async () => ({ state, volume }), labels))).toMatchObject({
    trainingrun_agent_mirror_latest_step: 30,
    'trainingrun_agent_mirror_lag{unit="steps"}': 10,
    'trainingrun_agent_mirror_lag{unit="bytes"}': 4096,
    'trainingrun_agent_mirror_lag{unit="seconds"}': 2.5,
    trainingrun_agent_mirror_bytes_per_second: 1000,
  });
  const without = await scrape(metricsOf({}));
  expect(Object.keys(without).filter((name) => /mirror_(lag|latest_step|bytes_per)/.test(name))).toEqual([]);
});
