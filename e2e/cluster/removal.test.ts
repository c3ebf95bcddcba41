import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { down } from "./cluster.ts";
import { clusterMark, nodeDirectory } from "./cluster-directory.ts";
import { type ClusterState, writeState } from "./cluster-state.ts";
import { cgroupTree, findCgroups, makeNodeCgroups, removeCgroups, startedIn } from "./host/cgroups.ts";
import { remainsOf } from "./host/traces.ts";
import { processesDirectory } from "./process-node/process-ledger.ts";
import { identify, isAlive, type ProcessIdentity } from "./processes/process-identity.ts";

const isRootOnLinux = process.platform === "linux" && process.getuid?.() === 0;

let parent: string;
let directory: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  parent = realpathSync(mkdtempSync(join(tmpdir(), "trainingrun-removal-")));
  directory = join(parent, "cluster");
  mkdirSync(directory);
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const at of [directory, `${directory}-2`]) await removeCgroups(cgroupTree(at));
  rmSync(parent, { recursive: true, force: true });
});

/** A process with a variable of its own, as the rest of a cluster that was killed. */
function leave(env: Readonly<Record<string, string>>, command: readonly string[] = ["sleep", "600"]) {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { env: { ...process.env, ...env }, detached: true, stdio: "ignore" });
  children.push(child);
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw new Error(`Cannot test: ${program} did not start`);
  return identity;
}

function state(more: Partial<ClusterState>): ClusterState {
  const kubeconfigPath = join(directory, "kubeconfig");
  return { phase: "ready", directory, way: "processes", kubeconfigPath, processes: [], nodes: [], ...more };
}

async function untilIn(tree: string, identity: ProcessIdentity | undefined): Promise<void> {
  const path = `/proc/${identity?.pid}`;
  await expect.poll(() => readFileSync(`${path}/comm`, "utf8").trim(), { timeout: 10_000 }).toBe("sleep");
  expect(readFileSync(`${path}/cgroup`, "utf8")).toContain(`/${tree}/node-a/daemons`);
}

/** Only one hierarchy of cgroup v1, and every cgroup of v2, can be frozen. */
function freeze(cgroup: string): void {
  if (existsSync(join(cgroup, "freezer.state"))) writeFileSync(join(cgroup, "freezer.state"), "FROZEN");
  if (existsSync(join(cgroup, "cgroup.freeze"))) writeFileSync(join(cgroup, "cgroup.freeze"), "1");
}

describe("`down`", () => {
  it("does nothing where there is no cluster", async () => {
    writeFileSync(join(directory, "thesis.tex"), "");
    await down({ directory });
    expect(existsSync(join(directory, "thesis.tex"))).toBe(true);
  });

  it("removes what an `up` left that was killed before it started anything", async () => {
    writeFileSync(join(directory, "settings.json"), "{}");
    await down({ directory });
    expect(await remainsOf(directory)).toEqual([]);
  });

  it.skipIf(process.platform !== "linux")("ends what the state does not name, and knows it by its mark", async () => {
    const mark = clusterMark(directory);
    const records = processesDirectory(nodeDirectory(directory, "node-a"));
    mkdirSync(records, { recursive: true });
    const part = leave({ [mark.name]: mark.value });
    const container = leave({ TRAININGRUN_PROCESS_NODE: records });
    const other = leave({ [mark.name]: `${mark.value}-2` });
    // Half a file: the machine went down, or another version wrote it.
    writeFileSync(join(directory, "state.json"), '{"phase":');
    expect(await remainsOf(directory)).toEqual([`process ${part.pid} (sleep 600)`, `directory ${directory}`]);

    await down({ directory });

    expect([part, container, other].map(isAlive)).toEqual([false, false, true]);
    expect(await remainsOf(directory)).toEqual([]);
  });

  it("leaves a process alone that has the pid of one that ended", async () => {
    const stranger = leave({});
    const former = { pid: stranger.pid, startTime: `${stranger.startTime}0` };
    await writeState(directory, state({ supervisor: former, processes: [{ ...former, name: "etcd" }] }));
    await down({ directory });
    expect([isAlive(stranger), existsSync(directory)]).toEqual([true, false]);
  });

  it.skipIf(!isRootOnLinux)("removes no file of what somebody mounted in the directory", async () => {
    const mounted = join(directory, "nodes", "disk");
    mkdirSync(mounted, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", mounted]);
    try {
      writeFileSync(join(mounted, "thesis.tex"), "");
      await writeState(directory, state({}));
      await expect(down({ directory })).rejects.toThrow(`unmount what is in it first: mount ${mounted}`);
      expect(existsSync(join(mounted, "thesis.tex"))).toBe(true);
    } finally {
      execFileSync("umount", [mounted]);
    }
  });

  it.skipIf(!isRootOnLinux)("ends what is in its cgroups, frozen or not, and in no other cluster's", async () => {
    const [ours, others] = [cgroupTree(directory), cgroupTree(`${directory}-2`)];
    const found = await Promise.all(
      [ours, others].map(async (tree) => {
        const { daemons } = await makeNodeCgroups(tree, "node-a");
        return leave({}, await startedIn(daemons, ["sleep", "600"]));
      }),
    );
    for (const [index, tree] of [ours, others].entries()) await untilIn(tree, found[index]);
    for (const cgroup of await findCgroups(ours)) freeze(cgroup);
    await writeState(directory, state({ way: "containers" }));

    await down({ directory });

    expect([await findCgroups(ours), await remainsOf(directory)]).toEqual([[], []]);
    expect((await findCgroups(others)).length).toBeGreaterThan(0);
    expect(found.map(isAlive)).toEqual([false, true]);
    mkdirSync(`${directory}-2`);
    await writeState(`${directory}-2`, state({ way: "containers" }));
    await down({ directory: `${directory}-2` });
    expect(found.map(isAlive)).toEqual([false, false]);
  });
});
