import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { down, up } from "./cluster.ts";
import { readState } from "./cluster-state.ts";
import { cgroupTree, findCgroups } from "./host/cgroups.ts";
import { tracesOf } from "./host/traces.ts";
import { signalIfAlive } from "./processes/process-identity.ts";

const isRootOnLinux = process.platform === "linux" && process.getuid?.() === 0;
const parent = realpathSync(mkdtempSync(join(tmpdir(), "trainingrun-crash-")));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

/** How far a start is; each is true only after the one before. */
const moments: readonly { moment: string; isReached: (directory: string) => boolean | Promise<boolean> }[] = [
  { moment: "it was started", isReached: (directory) => existsSync(join(directory, "state.json")) },
  { moment: "etcd was started", isReached: (directory) => existsSync(join(directory, "logs", "etcd.log")) },
  { moment: "the API server was started", isReached: (directory) => hasLog(directory, "kube-apiserver.log") },
  { moment: "a node's cgroups were made", isReached: async (directory) => (await cgroupsOf(directory)) > 0 },
  { moment: "a node's containerd was started", isReached: (directory) => hasNodeLog(directory, "containerd.log") },
  { moment: "a node's kubelet was started", isReached: (directory) => hasNodeLog(directory, "kubelet.log") },
];

describe.skipIf(!isRootOnLinux)("a supervisor that is killed while it starts a cluster", () => {
  it.each(moments)("leaves nothing that outlives `up`: killed once $moment", async ({ moment, isReached }) => {
    const directory = join(parent, moment.replaceAll(/\W/g, "-"));
    const outcome = up({ directory, way: "containers", report: () => {} }).then(String, String);
    await expect.poll(() => isReached(directory), { timeout: 120_000, interval: 10 }).toBe(true);
    const { supervisor } = (await readState(directory)) ?? {};
    if (supervisor === undefined) throw new Error("Cannot test: the state names no supervisor");
    signalIfAlive(supervisor, "SIGKILL");
    expect(await outcome).toContain("its supervisor ended");
    expect(await tracesOf(directory)).toEqual([]);
    await down({ directory });
  });
});

function hasLog(directory: string, name: string): boolean {
  return existsSync(join(directory, "logs", name));
}

function hasNodeLog(directory: string, name: string): boolean {
  const nodes = join(directory, "nodes");
  return existsSync(nodes) && readdirSync(nodes).some((node) => existsSync(join(nodes, node, "logs", name)));
}

async function cgroupsOf(directory: string): Promise<number> {
  return (await findCgroups(cgroupTree(directory))).length;
}
