import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { buildAgentOnce, removeAgent } from "../../agent/test/agent-process.ts";
import { AgentScene } from "./agent-scene.ts";
import { storeKinds } from "./store.ts";

const mebibyte = 1024 * 1024;
const kills = 5;

beforeAll(buildAgentOnce);
afterAll(removeAgent);

describe.each(storeKinds)("With %s, the agent", (kind) => {
  let scene: AgentScene;
  beforeEach(async () => {
    scene = await AgentScene.start(kind);
  });
  afterEach(async () => scene?.[Symbol.asyncDispose]());

  /** The agent of a first attempt that serves. */
  async function serving(over: Record<string, string> = {}) {
    const { pod, trainer } = scene.pod(1, over);
    const agent = pod.start("serve");
    await agent.until("serving", ({ phase }) => phase === "Serving");
    return { pod, trainer, agent };
  }

  test("mirrors what is verified, shows it, and brings a run back whose volume is gone", async () => {
    const { agent, trainer } = await serving();
    for (const step of [10, 20]) await trainer.saveLarge(step, 20 * mebibyte);
    const state = await agent.until("step 20 in both tiers", ({ latestVerified: latest, mirror }) => {
      return latest?.step === 20 && latest.tiers.length === 2 && mirror?.lagBytes === 0;
    });
    expect(state.mirror).toMatchObject({ latestStep: 20, lagSteps: 0, lagSeconds: 0, uploading: null, problem: null });
    expect(state.latestVerified?.tiers).toEqual(["Volume", "ObjectStore"]);
    const metrics = await (await agent.fetch("/metrics")).text();
    expect(metrics).toMatch(/^trainingrun_agent_checkpoints_mirrored_total\{[^}]*\} 2$/m);
    expect(await agent.end("SIGTERM")).toBe(0);

    const next = scene.pod(2).pod.start("serve");
    const { restored } = await next.until("a restore", ({ phase }) => phase === "Serving");
    expect(restored?.resume).toMatchObject({ step: 20, tier: "ObjectStore" });
  });

  test("killed at any instant of its uploads, leaves nothing half, and goes on where it was", async () => {
    const { pod, trainer } = scene.pod(1);
    const seed = Math.trunc(Math.random() * 2 ** 31);
    let agent = pod.start("serve");
    await agent.until("serving", ({ phase }) => phase === "Serving");
    const steps: number[] = [];
    let cut = 0;
    for (let kill = 1; kill <= kills; kill += 1) {
      await trainer.saveLarge(kill * 10, 18 * mebibyte);
      steps.push(kill * 10);
      // From before the first request to after the commit, counted in requests and not in time.
      const after = scene.proxy.log.length + ((Math.imul(seed + kill, 2654435761) >>> 0) % 40);
      await scene.requests(after);
      await agent.end("SIGKILL");
      await scene.proxy.settled();
      if ((await scene.mirrored()).steps.length < steps.length) cut += 1;
      agent = pod.start("serve");
    }
    const last = kills * 10;
    await agent.until("all mirrored", ({ mirror }) => mirror?.latestStep === last && mirror.lagBytes === 0);
    expect((await scene.mirrored()).steps).toEqual(steps);
    console.log(`${kind}: ${kills} kills (seed ${seed}), ${cut} of them while something was still to be uploaded`);
    expect(cut).toBeGreaterThan(0);
  });

  test("goes on verifying while the store is down, and catches up when it is back", async () => {
    const { agent, trainer } = await serving();
    await trainer.save(10);
    await agent.until("a mirrored step 10", ({ mirror }) => mirror?.latestStep === 10);
    await scene.server.stop();
    for (const step of [20, 30]) await trainer.save(step);
    const down = await agent.until("a problem", ({ mirror }) => mirror?.problem !== null);
    expect(down).toMatchObject({ latestVerified: { step: 30, tiers: ["Volume"] }, mirror: { lagSteps: 20 } });
    expect(down.mirror?.problem?.reason).toBe("EndpointUnreachable");
    await scene.server.start();
    const up = await agent.until("no lag", ({ mirror }) => mirror?.lagBytes === 0 && mirror.problem === null);
    expect(up.mirror).toMatchObject({ latestStep: 30, lagSteps: 0 });
    expect((await scene.mirrored()).steps).toEqual([10, 20, 30]);
  });

  test("gets everything there, once, through a network that breaks every tenth request and loses every tenth reply", async () => {
    const { agent, trainer } = await serving();
    const seed = Math.trunc(Math.random() * 2 ** 31);
    const faults = (["Reset", "LoseReply"] as const).map((kind, index) =>
      scene.proxy.add({ fault: { kind }, chance: { of: 0.1, seed: seed + index } }),
    );
    const steps = [10, 20, 30, 40];
    for (const step of steps) await trainer.saveLarge(step, 18 * mebibyte);
    await agent.until(
      `all mirrored (seed ${seed})`,
      ({ mirror }) => mirror?.latestStep === 40 && mirror.lagBytes === 0,
    );
    const hits = faults.map(({ hits }) => hits);
    expect((await scene.mirrored()).steps).toEqual(steps);
    expect(Math.min(...hits), `seed ${seed}`).toBeGreaterThan(0);
  });

  test("mirrors to a store that creates keys twice, and says what that means", async () => {
    scene.proxy.add({ fault: { kind: "IgnoreConditions" } });
    const { agent, trainer } = await serving();
    await trainer.save(10);
    const state = await agent.until("a mirrored step 10", ({ mirror }) => mirror?.latestStep === 10);
    expect(state.mirror?.problem).toMatchObject({ reason: "ConditionsUnsupported" });
    expect((await scene.mirrored()).steps).toEqual([10]);
  });

  test("uses the rest of the grace period for the final checkpoint, and is done only when it is there", async () => {
    const { agent, trainer } = await serving({ TRAININGRUN_VOLUME: "Ephemeral" });
    let checkpoint = "";
    await agent.held(async () => {
      await trainer.saveLarge(10, 20 * mebibyte);
      checkpoint = (await trainer.saveLarge(20, 20 * mebibyte)).manifest.digest;
      trainer.leave({ kind: "done", attempt: 1, step: 20, checkpoint, metrics: [] });
    });
    expect(await agent.end("SIGTERM")).toBe(0);
    expect(agent.record()).toMatchObject({
      latestVerified: { step: 20, tiers: ["Volume", "ObjectStore"] },
      done: checkpoint,
    });
    const { state, steps } = await scene.mirrored();
    expect([steps, state.done?.manifest]).toEqual([[10, 20], checkpoint]);
  });

  test("claims nothing that an ephemeral volume alone has had, when the grace period is over", async () => {
    const { agent, trainer } = await serving({ TRAININGRUN_VOLUME: "Ephemeral", TRAININGRUN_GRACE_SECONDS: "5" });
    await scene.server.stop();
    const { manifest } = await trainer.save(10);
    trainer.leave({ kind: "done", attempt: 1, step: 10, checkpoint: manifest.digest, metrics: [] });
    expect(await agent.end("SIGTERM")).toBe(0);
    expect(agent.record()).toMatchObject({ latestVerified: null, done: null });
    expect(agent.output).toContain("The object store is 10 steps and");
  });

  test("keeps its memory bounded while it verifies and uploads 300 MB", async () => {
    const { agent, trainer } = await serving();
    await trainer.saveLarge(10, 300_000_000);
    await agent.until("a mirrored step 10", ({ mirror }) => mirror?.latestStep === 10);
    const peak = agent.peakMemory();
    console.log(`${kind}: ${Math.round(peak / mebibyte)} MiB at most in the agent, for a checkpoint of 286 MiB`);
    expect(peak).toBeLessThan(300_000_000);
  });

  test("removes the run's objects when it is told to, all of them, those of no other run, and as often as it is asked", async () => {
    const { agent, trainer } = await serving();
    await trainer.save(10);
    await agent.until("a mirrored step 10", ({ mirror }) => mirror?.latestStep === 10);
    await agent.end("SIGTERM");
    const other = await scene.reader("run-uid-2");
    await other.announceOpen({ number: 1, attempt: 1 });
    const remove = async (over: Record<string, string> = {}) => {
      const { pod } = scene.pod(9, over);
      const code = await pod.start("delete").exit();
      return { code, record: JSON.parse(pod.read("termination-log")) };
    };
    expect(await remove()).toMatchObject({ code: 0, record: { kind: "deleted" } });
    const store = await scene.reader();
    expect([await store.names(), await store.recordNumbers(), await store.announcedOpens()]).toEqual([[], [], []]);
    expect(await other.announcedOpens()).toEqual([{ number: 1, attempt: 1 }]);
    expect(await remove()).toMatchObject({ code: 0, record: { kind: "deleted" } });
    const settings = { ...JSON.parse(scene.variables.TRAININGRUN_OBJECT_STORE ?? ""), bucket: "never-made" };
    expect(await remove({ TRAININGRUN_OBJECT_STORE: JSON.stringify(settings) })).toMatchObject({
      code: 1,
      record: { kind: "delete-failed", reason: "BucketMissing" },
    });
    for (const one of [other, store]) one.close();
  });
});
