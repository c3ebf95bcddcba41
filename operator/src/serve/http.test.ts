import { afterEach, describe, expect, it } from "vitest";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import type { ElectionState } from "../kubernetes/leader-election.ts";
import { unservedNotes } from "./health.ts";
import { serveHttp } from "./http.ts";
import { operatorMetrics } from "./operator-metrics.ts";
import { MetricsRegistry } from "./registry.ts";

describe("the operator's server", () => {
  let close: (() => Promise<void>) | undefined;

  afterEach(async () => {
    await close?.();
  });

  async function get(
    path: string,
    over: Partial<Parameters<typeof serveHttp>[0]> = {},
    method = "GET",
  ): Promise<string> {
    const server = await serveHttp({
      address: "127.0.0.1",
      port: 0,
      metrics: async () => ({ contentType: "text/plain", body: "up 1\n" }),
      healthy: () => [],
      ready: () => [],
      notes: () => [],
      ...over,
    });
    close = server.close;
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return `${answer.status} ${await answer.text()}`;
  }

  it("says ok where nothing is wrong, and else what is", async () => {
    expect(await get("/healthz")).toBe("200 ok\n");
    await close?.();
    expect(await get("/readyz", { ready: () => ["pods has not been listed yet"] })).toBe(
      "503 pods has not been listed yet\n",
    );
    await close?.();
    expect(await get("/healthz", { healthy: () => ["a", "b"] })).toBe("503 a\nb\n");
    await close?.();
    const notes = () => unservedNotes(new Map([["b", "pods is forbidden"]]));
    expect(await get("/readyz", { notes })).toBe("200 ok\nthe runs of namespace b are not served: pods is forbidden\n");
  });

  it("serves the metrics, and survives ones that cannot be collected", async () => {
    expect(await get("/metrics?x=1")).toBe("200 up 1\n");
    await close?.();
    const broken = { metrics: () => Promise.reject(new Error("broken")) };
    expect(await get("/metrics", broken)).toBe("500 the metrics cannot be collected: Error: broken\n");
  });

  it("refuses other paths and other methods", async () => {
    expect(await get("/")).toBe("404 known paths: /metrics, /healthz, /readyz\n");
    await close?.();
    expect(await get("/healthz", {}, "POST")).toBe("405 only GET is answered\n");
  });
});

describe("the operator's metrics", () => {
  const run = (name: string, status: unknown): KubeObject => ({
    metadata: { name, namespace: "a", uid: name, resourceVersion: "1" },
    status,
  });
  let runs: KubeObject[] = [];
  let election: ElectionState | undefined;

  async function lines(pattern: RegExp): Promise<string[]> {
    const registry = new MetricsRegistry();
    const sink = operatorMetrics(registry, () => ({
      runs: () => runs,
      queue: () => ({ depth: 3, running: 1, longestRunningMs: 2_500 }),
      watches: () => [],
      events: () => ({ backlog: 4 }),
      refused: () => [],
      election: () => election,
    }));
    sink.eventDropped("Refused", 2);
    sink.request({ method: "GET", resource: "pods", code: 404, seconds: 0.1 });
    sink.pass("again", 0.2);
    sink.attemptEnded({ number: 1, generation: 1, pods: [], startTime: "", cause: "Preempted", charge: "Disruption" });
    return (await registry.text()).body.split("\n").filter((line) => pattern.test(line) && !line.startsWith("#"));
  }

  it("count what was told and stands in no event, by the reason", async () => {
    expect(await lines(/^trainingrun_events/)).toEqual([
      "trainingrun_events_waiting 4",
      'trainingrun_events_dropped_total{why="Refused"} 2',
    ]);
  });

  const states: readonly [state: ElectionState | undefined, lines: string[]][] = [
    ["Leading", ["trainingrun_leader 1", 'trainingrun_election_state{state="Leading"} 1']],
    ["SteppingDown", ["trainingrun_leader 0", 'trainingrun_election_state{state="SteppingDown"} 1']],
    [undefined, ["trainingrun_leader 1"]],
  ];
  it.each(states)("say who leads: in state %s", async (state, expected) => {
    election = state;
    expect(await lines(/^trainingrun_(leader|election)/)).toEqual(expected);
  });

  it("count what this process did", async () => {
    expect(
      await lines(/^(rest_client_requests|trainingrun_attempts_ended|trainingrun_reconcile_total|workqueue)/),
    ).toEqual([
      "workqueue_depth 3",
      "workqueue_running 1",
      "workqueue_longest_running_processor_seconds 2.5",
      'rest_client_requests_total{method="GET",resource="pods",code="404"} 1',
      'trainingrun_reconcile_total{result="again"} 1',
      'trainingrun_attempts_ended_total{cause="Preempted",charge="Disruption"} 1',
    ]);
  });

  it("show each run while it is there, from its status, and none of its series after", async () => {
    const totals = { attempts: 2, disruptions: 2, failures: 1, stalls: 0, lostSteps: 7, goodput: "0.98" };
    runs = [
      run("r1", {
        state: "Running",
        attempt: 3,
        graceNeededSeconds: 45,
        totals,
        progress: { step: 40 },
        latestVerified: { step: 30 },
      }),
      run("r2", {}),
      run("r3", { state: "Running" }),
    ];
    expect(await lines(/^trainingrun_runs/)).toEqual([
      'trainingrun_runs{state="Running"} 2',
      'trainingrun_runs{state="Pending"} 1',
    ]);
    expect(await lines(/run="r1"/)).toEqual([
      'trainingrun_step{namespace="a",run="r1"} 40',
      'trainingrun_verified_step{namespace="a",run="r1"} 30',
      'trainingrun_grace_needed_seconds{namespace="a",run="r1"} 45',
      'trainingrun_goodput{namespace="a",run="r1"} 0.98',
      'trainingrun_attempts_total{namespace="a",run="r1"} 3',
      'trainingrun_disruptions_total{namespace="a",run="r1"} 2',
      'trainingrun_failures_total{namespace="a",run="r1"} 1',
      'trainingrun_stalls_total{namespace="a",run="r1"} 0',
      'trainingrun_lost_steps_total{namespace="a",run="r1"} 7',
    ]);
    runs = [];
    expect(await lines(/run="r/)).toEqual([]);
  });
});
