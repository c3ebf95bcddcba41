import { describe, expect, test } from "vitest";
import { fileReplacements } from "../host/files.ts";
import { installHost } from "../host/install.ts";

// The host first: what is loaded before it would keep Node's own functions.
installHost({ models: fileReplacements() });
const { bucketRows, volumeRows } = await import("./acts/test/storage-rows.ts");
const { nodeRows } = await import("./acts/test/node-rows.ts");
const { operatorRows } = await import("./acts/test/operator-rows.ts");
const { podRows } = await import("./acts/test/pod-rows.ts");
const { queueRows } = await import("./acts/test/queue-rows.ts");
const { Scene, runName } = await import("./acts/test/scene.ts");
const { trainerRows } = await import("./acts/test/trainer-rows.ts");
const { userRows } = await import("./acts/test/user-rows.ts");
const { playable } = await import("./fault-kinds.ts");

const ofPods = [...podRows, ...trainerRows, ...queueRows];
const rows = [...ofPods, ...nodeRows, ...volumeRows, ...bucketRows, ...operatorRows, ...userRows];
const soonMs = 1;

describe("a fault", () => {
  test.each(rows)("$kind $does", async (row) => {
    const { kind, args, lift, afterMs = soonMs } = row;
    const scene = await Scene.begin(row.beginning);
    if (row.first !== undefined) scene.act(() => row.first?.(scene));
    await scene.pass(100);
    expect(await row.look(scene)).toEqual(row.before);
    const forMs = lift?.forMs ?? 10_000;
    await scene.strike({ kind, target: row.target?.(scene), forMs, args });
    const beganMs = scene.world.scheduler.now;
    if (row.next !== undefined) scene.act(() => row.next?.(scene));
    await scene.pass(afterMs);
    expect(await row.look(scene)).toEqual(row.during);
    if (lift !== undefined) {
      const { settleMs = soonMs } = lift;
      await scene.pass(beganMs + forMs + settleMs - scene.world.scheduler.now);
      expect(await row.look(scene)).toEqual(lift.after);
    }
  });

  test("of every kind that can be played is among them", () => {
    expect(new Set<string>(rows.map(({ kind }) => kind))).toEqual(new Set(Object.keys(playable)));
  });
});

describe("the faults of a plan", () => {
  const fault = { id: "f0", kind: "OperatorPaused", target: "operator-0", forMs: 5_000, args: {} } as const;

  test("begin as soon as a run is in their state, and not before", async () => {
    const scene = await Scene.begin();
    scene.acts([{ ...fault, moment: { run: runName, state: "Suspended", delayMs: 1_000 } }]).arm();
    const state = () => scene.operator.process.state;
    scene.act(() => scene.world.editRun(runName, { suspend: true }));
    await scene.pass(500);
    expect(state()).toBe("running");
    await scene.pass(5_000);
    expect(state()).toBe("paused");
  });

  test("stand as long as is said, and are told as begun, met and ended", async () => {
    const scene = await Scene.begin("NoRun");
    await scene.strike({ ...fault });
    await scene.pass(4_999);
    expect([scene.operator.process.state, scene.since("FaultEnded")]).toEqual(["paused", []]);
    await scene.pass(2);
    expect(scene.operator.process.state).toBe("running");
    const told = [...scene.since("FaultBegan"), ...scene.since("FaultMet"), ...scene.since("FaultEnded")];
    expect(told.map(({ kind, id }) => `${kind} ${id}`)).toEqual(["FaultBegan f0", "FaultMet f0", "FaultEnded f0"]);
  });

  test("are met once, however much they meet", async () => {
    const scene = await Scene.begin("NoRun");
    await scene.strike({ kind: "ServerDown", target: "server" });
    for (let asked = 0; asked < 3; asked += 1) await scene.asksServer();
    expect(scene.since("FaultMet")).toHaveLength(1);
  });

  test("meet nothing where there is nothing to meet", async () => {
    const scene = await Scene.begin("NoRun");
    await scene.strike({ kind: "TrainerKilled" });
    expect(scene.since("FaultBegan")).toHaveLength(1);
    expect(scene.since("FaultMet")).toEqual([]);
  });

  test("are taken back when all is healed, and none begins after that", async () => {
    const scene = await Scene.begin("NoRun");
    const acts = scene.acts([
      { ...fault, moment: { atMs: 0 }, forMs: 3_600_000 },
      { ...fault, id: "f1", moment: { atMs: 5_000 } },
    ]);
    acts.arm();
    await scene.pass(1_000);
    expect([acts.isChaos, scene.operator.process.state]).toEqual([true, "paused"]);
    scene.act(() => acts.heal([{ kind: "Lift", fault: "f0" }]));
    await scene.pass(10_000);
    expect([acts.isChaos, scene.operator.process.state]).toEqual([false, "running"]);
  });

  test("leave the last word on a namespace to whoever deletes it, and no run is made there again", async () => {
    const scene = await Scene.begin();
    const acts = scene.acts([]);
    scene.act(() => acts.heal([{ kind: "DeleteNamespace", namespace: "team-a" }]));
    await scene.pass(120_000);
    expect([scene.run, acts.mayCreate(runName)]).toEqual([undefined, false]);
  });

  test("leave the last word to the run's user", async () => {
    const scene = await Scene.begin();
    const acts = scene.acts([]);
    scene.act(() => acts.heal([{ kind: "Delete", run: runName }]));
    await scene.pass(60_000);
    expect([scene.run, acts.mayCreate(runName)]).toEqual([undefined, false]);
  });
});
