import { claims, nodes, pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { describe, expect, test } from "vitest";
import { fileReplacements } from "../../host/files.ts";
import { installHost } from "../../host/install.ts";
import { fieldsOf, listOf } from "../api/object.ts";
import { outOfMemory } from "./container-life.ts";
import type { ContainerProgram } from "./program.ts";
import { SmallCluster, stopped, team } from "./test/small-cluster.ts";

installHost({ models: fileReplacements() });

const minuteMs = 60_000;

/** Works for a while and exits. */
function ending(exitCode: number, afterMs = 5_000): ContainerProgram {
  return async ({ process }) => {
    await process.later(afterMs);
    return exitCode;
  };
}

/** Takes no notice of being asked to stop. */
const deaf: ContainerProgram = async ({ process }) => {
  await process.later(3_600_000);
  return 0;
};

describe("a pod of a model cluster", () => {
  test("is given a node, starts its sidecar first and its trainer after it, and ends them in the other order", async () => {
    const small = new SmallCluster({ trainer: ending(0) });
    small.makePod("mnist-1-0");
    await small.pass(3_000);
    expect(small.said("mnist-1-0")).toBe("Running, agent runs, trainer runs");
    await small.pass(minuteMs);
    expect(small.said("mnist-1-0")).toBe("Succeeded, agent Completed 0, trainer Completed 0");
    expect(small.lives).toEqual([
      "agent starts",
      "trainer starts",
      "trainer ends: Returned 0",
      "agent ends: Terminated 0",
    ]);
  });

  test("waits with its trainer for an init container, and never starts it where that fails", async () => {
    const small = new SmallCluster({ restore: ending(1, 500) });
    small.makePod("mnist-1-0", { initContainers: [{ name: "restore" }, { name: "agent", restartPolicy: "Always" }] });
    await small.pass(minuteMs);
    expect(small.said("mnist-1-0")).toBe(
      "Failed, restore Error 1, agent waits (PodInitializing), trainer waits (PodInitializing)",
    );
    expect(small.lives).toEqual(["restore starts", "restore ends: Returned 1"]);
  });

  test("has its sidecar started again, at first at once and then after a while", async () => {
    const small = new SmallCluster({ agent: ending(70, 100) });
    small.makePod("mnist-1-0");
    await small.pass(7_000);
    expect(small.said("mnist-1-0")).toBe("Running, agent waits (CrashLoopBackOff), trainer runs");
    await small.pass(12_000);
    expect(small.lives.filter((line) => line === "agent starts")).toHaveLength(3);
  });

  test("is killed at the end of its grace period where it takes no notice of SIGTERM", async () => {
    const small = new SmallCluster({ trainer: deaf });
    small.makePod("mnist-1-0");
    await small.pass(3_000);
    const pod = small.pod("mnist-1-0");
    if (pod !== undefined) small.cluster.deletePod(pod, {});
    await small.pass(9_500);
    expect(small.said("mnist-1-0")).toBe("Running, agent runs, trainer runs");
    await small.pass(4_000);
    expect(small.said("mnist-1-0")).toBe("gone");
    expect(small.lives.slice(2)).toEqual(["trainer ends: Killed 137", "agent ends: Terminated 0"]);
  });

  test("leaves its end to be read as long as somebody holds the object", async () => {
    const small = new SmallCluster({});
    small.makePod("mnist-1-0");
    await small.pass(3_000);
    const target = { resource: pods, namespace: team, name: "mnist-1-0" };
    small.api.patch(target, "application/merge-patch+json", { metadata: { finalizers: ["example.com/hold"] } });
    const pod = small.pod("mnist-1-0");
    if (pod !== undefined) small.cluster.evict(pod);
    await small.pass(minuteMs);
    expect(small.said("mnist-1-0")).toBe("Succeeded, agent Completed 0, trainer Completed 0");
    const conditions = listOf(fieldsOf(small.pod("mnist-1-0")?.status).conditions).map(fieldsOf);
    expect(conditions.find(({ type }) => type === "DisruptionTarget")?.reason).toBe("EvictionByEvictionAPI");
  });

  test("goes on unseen where it is deleted by force, until its kubelet hears of it", async () => {
    const small = new SmallCluster({});
    small.makePod("mnist-1-0");
    await small.pass(3_000);
    const pod = small.pod("mnist-1-0");
    if (pod !== undefined) small.cluster.deletePod(pod, { gracePeriodSeconds: 0 });
    expect([small.said("mnist-1-0"), small.lives]).toEqual(["gone", ["agent starts", "trainer starts"]]);
    await small.pass(5_000);
    expect(small.lives.slice(2)).toEqual(["trainer ends: Terminated 0", "agent ends: Terminated 0"]);
  });

  test("tells the end that somebody brought about as the kernel would", async () => {
    const small = new SmallCluster({});
    small.makePod("mnist-1-0");
    await small.pass(3_000);
    const pod = small.pod("mnist-1-0");
    const life = pod === undefined ? undefined : small.cluster.life(pod);
    life?.containers.find(({ snapshot }) => snapshot.name === "trainer")?.force(outOfMemory);
    await small.pass(5_000);
    expect(small.said("mnist-1-0")).toBe("Failed, agent Completed 0, trainer OOMKilled 137");
  });

  test("says what its program printed last, where it left no message of its own", async () => {
    const shout: ContainerProgram = async ({ process }) => {
      process.print("out of luck");
      return 1;
    };
    const small = new SmallCluster({ trainer: shout });
    small.makePod("mnist-1-0", {
      containers: [{ name: "trainer", terminationMessagePolicy: "FallbackToLogsOnError" }],
    });
    await small.pass(minuteMs);
    const [status] = listOf(fieldsOf(small.pod("mnist-1-0")?.status).containerStatuses).map(fieldsOf);
    expect(fieldsOf(fieldsOf(status?.state).terminated).message).toBe("out of luck");
  });
});

describe("the nodes of a model cluster", () => {
  const volumes = [{ name: "data", persistentVolumeClaim: { claimName: "data" } }];

  test("have no room beyond their pods: the next one waits, with words, until one has ended", async () => {
    const small = new SmallCluster({ trainer: ending(0, 20_000) }, { nodes: 1, podsPerNode: 1 });
    small.makePod("first");
    await small.pass(1_000);
    small.makePod("second");
    await small.pass(1_000);
    const [condition] = listOf(fieldsOf(small.pod("second")?.status).conditions).map(fieldsOf);
    expect(condition).toMatchObject({ type: "PodScheduled", status: "False", reason: "Unschedulable" });
    await small.pass(minuteMs);
    expect(small.said("second")).toMatch(/^Succeeded/);
  });

  test("bind a claim with its first pod, and give its volume to one node at a time", async () => {
    const small = new SmallCluster({}, { podsPerNode: 1 });
    small.makeClaim("data");
    small.makePod("first", { volumes });
    await small.pass(3_000);
    const claim = small.api.store.get(claims, `${team}/data`)?.object;
    expect(fieldsOf(claim?.status).phase).toBe("Bound");
    small.makePod("second", { volumes });
    await small.pass(10_000);
    expect(small.said("second")).toMatch(/^Pending/);
    const first = small.pod("first");
    if (first !== undefined) small.cluster.deletePod(first, {});
    await small.pass(10_000);
    expect(small.said("second")).toMatch(/^Running/);
  });

  test("go silent with a zombie on them: the pod is given up after its time, and ends when they are back", async () => {
    const small = new SmallCluster({});
    small.makePod("mnist-1-0");
    await small.pass(3_000);
    const machine = small.cluster.machine(String(fieldsOf(small.pod("mnist-1-0")?.spec).nodeName));
    small.cluster.cutOff(machine);
    await small.pass(45_000);
    expect(readiness(small, machine.name)).toBe("Unknown");
    expect(small.pod("mnist-1-0")?.metadata.deletionTimestamp).toBeUndefined();
    await small.pass(301_000);
    expect(small.pod("mnist-1-0")?.metadata.deletionTimestamp).toBeDefined();
    expect(small.lives).toEqual(["agent starts", "trainer starts"]);
    small.cluster.bringBack(machine);
    await small.pass(minuteMs);
    expect([readiness(small, machine.name), small.said("mnist-1-0")]).toEqual(["True", "gone"]);
    expect(small.lives.slice(2)).toEqual(["trainer ends: Terminated 0", "agent ends: Terminated 0"]);
  });

  test("let everything on them stand still while they are frozen", async () => {
    let ticks = 0;
    const ticking: ContainerProgram = async ({ process }) => {
      for (;;) {
        await Promise.race([process.later(1_000), stopped(process)]);
        if (process.stop.aborted) return 0;
        ticks += 1;
      }
    };
    const small = new SmallCluster({ trainer: ticking });
    small.makePod("mnist-1-0");
    await small.pass(10_000);
    const machine = small.cluster.machine(String(fieldsOf(small.pod("mnist-1-0")?.spec).nodeName));
    small.cluster.freeze(machine);
    const before = ticks;
    await small.pass(20_000);
    expect([before > 0, ticks]).toEqual([true, before]);
    small.cluster.bringBack(machine);
    await small.pass(5_000);
    expect(ticks).toBeGreaterThan(before + 3);
  });

  test("take their pods with them when they are removed from the cluster", async () => {
    const small = new SmallCluster({});
    small.makePod("mnist-1-0");
    await small.pass(3_000);
    const machine = small.cluster.machine(String(fieldsOf(small.pod("mnist-1-0")?.spec).nodeName));
    small.cluster.cutPower(machine);
    small.cluster.nodes.remove(machine);
    await small.pass(30_000);
    expect(small.said("mnist-1-0")).toMatch(/^Running/);
    await small.pass(20_000);
    expect(small.said("mnist-1-0")).toBe("gone");
    expect(small.lives.slice(2).toSorted()).toEqual(["agent ends: NodeLost 137", "trainer ends: NodeLost 137"]);
  });
});

function readiness({ api }: SmallCluster, node: string): unknown {
  const conditions = listOf(fieldsOf(api.store.get(nodes, node)?.object.status).conditions).map(fieldsOf);
  return conditions.find(({ type }) => type === "Ready")?.status;
}
