import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Installation, install } from "../harness/installation.ts";
import { until } from "../harness/run-access.ts";
import type { RunView } from "../harness/run-view.ts";
import { findPodProcess } from "../harness/trainer-process.ts";
import { firstNewStepMs, recordsOfZombies, startFencedRun, Zombie } from "../harness/zombie.ts";

/*
 * F37 on real containers: a node that nobody hears of while its pod trains and saves on, `nodeLost: Fence`, and the node
 * comes back. The pod's processes are held over the next attempt's opening and let go in its midst, so that they wake with
 * everything they were about to do.
 */

const isRootOnLinux = process.platform === "linux" && process.getuid?.() === 0;
const limit = () => AbortSignal.timeout(240_000);

describe.skipIf(!isRootOnLinux)("a node lost under nodeLost: Fence", () => {
  let installation: Installation;
  let parent: string;

  beforeAll(async () => {
    parent = await mkdtemp(join(tmpdir(), "trainingrun-node-loss-"));
    const report = (line: string) => console.log(`  ${line}`);
    const signal = AbortSignal.timeout(840_000);
    installation = await install({ directory: join(parent, "cluster"), way: "containers", report, signal });
  });

  afterAll(async () => {
    await installation?.remove();
    await rm(parent, { recursive: true, force: true });
  });

  test("is left behind: nothing that its pod writes later counts, and it is cleared up when it comes back", async () => {
    const run = await startFencedRun(installation, { name: "fenced", signal: limit() });
    const [lostPod] = await run.access.pods();
    const zombie = await Zombie.make(installation, run);
    await zombie.hasWrittenOn(limit());
    const counting = await run.access.waitFor("the silence", limit(), ({ status }) => status.silence !== undefined);
    expect(counting.status).toMatchObject({ attempt: 1, state: "Fencing", silence: { attempt: 1, nodes: [run.node] } });
    zombie.freeze();

    const next = await run.access.waitFor("two saves of the next attempt", limit(), hasSavedTwice);
    expect(next.status).toMatchObject({ attempt: 2, fencedAttempt: 1, totals: { failures: 0, disruptions: 1 } });
    expect(next.status.attempts).toMatchObject([{ number: 2 }, { number: 1, cause: "NodeLost", reason: "Fenced" }]);
    expect(next.status.attempts[0]?.pods[0]?.node).not.toBe(run.node);
    expect(firstNewStepMs(next)).toBeGreaterThan(zombie.node.silentAtMs);
    expect((await run.access.pods()).map(({ metadata }) => metadata.name)).toEqual(["fenced-2-0"]);

    expect(zombie.ended).toEqual([]);
    zombie.thaw();
    await until("the zombie's trainer and agent to end by themselves", limit(), async () => zombie.ended.length === 2);
    await zombie.appendLate();
    const { late, counted } = await recordsOfZombies(run.log);
    console.log(`  records of the zombie after the next attempt's open: ${late}, of which ${counted} count`);
    expect(late).toBeGreaterThan(0);
    expect(counted).toBe(0);

    await zombie.node.comeBack();
    const lostDirectory = installation.cluster.nodes.find(({ name }) => name === run.node)?.directory ?? "";
    const podDirectory = join(lostDirectory, "lib/kubelet/pods", lostPod?.metadata.uid ?? "");
    expect(existsSync(podDirectory)).toBe(true);
    await until("the kubelet to clear the lost pod", limit(), async () => !existsSync(podDirectory));
    expect(await findPodProcess({ runUid: run.uid, attempt: 1 }, "agent")).toBeNull();

    const reached = next.status.progress?.step ?? 0;
    const after = await run.access.waitFor(
      "more steps",
      limit(),
      ({ status }) => (status.progress?.step ?? 0) > reached + 20,
    );
    expect(after.status).toMatchObject({ attempt: 2, state: "Running" });
    expect(after.status.latestVerified?.attempt).toBe(2);
    expect(
      after.status.checkpoints.filter(({ attempt }) => attempt === 1).every(({ step }) => step <= base(after)),
    ).toBe(true);
    await run.access.remove(limit());
  });
});

function hasSavedTwice({ status }: RunView): boolean {
  return status.checkpoints.filter(({ attempt }) => attempt === 2).length >= 2;
}

/** The step that the second attempt resumed from: what the first one saved up to there is its lineage. */
function base({ status }: RunView): number {
  return status.attempts[0]?.resumedFrom?.step ?? 0;
}
