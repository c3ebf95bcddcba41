import type { ClusterState } from "../cluster-state.ts";
import { runIn } from "../host/namespaces.ts";
import { type ProcessIdentity, signalIfAlive } from "../processes/process-identity.ts";

/** A node that the cluster hears nothing of. What runs on it goes on, and reaches its volumes as before. */
export interface LostNode {
  readonly name: string;
  /** Epoch milliseconds from which on nothing came from it. */
  readonly silentAtMs: number;
  /** What runs on it reaches others again, as on a machine that was cut off; its kubelet still stands still. */
  reconnect(): Promise<void>;
  /** It stood still and goes on: its kubelet first learns then what became of its pods. */
  comeBack(): Promise<void>;
}

/**
 * Loses a container node: its link is taken from the switch, so that neither its kubelet nor its pods reach anybody, and
 * its kubelet stands still, so that nobody there starts again what ends. From outside it looks as if the machine hung.
 *
 * @throws {Error} on a cluster that has no container nodes: nothing else keeps a pod running that nobody can reach.
 */
export async function loseNode({ nodes, processes, way }: ClusterState, name: string): Promise<LostNode> {
  const index = nodes.findIndex((node) => node.name === name);
  const [kubelet, fabric] = [`${name}/kubelet`, "switch"].map((part) => processes.find((each) => each.name === part));
  if (way !== "containers" || index < 0 || kubelet === undefined || fabric === undefined)
    throw new Error(`Cannot lose node ${name} because only container nodes can be: this cluster is one of ${way}`);
  await link(fabric, index, "down");
  const silentAtMs = Date.now();
  signalIfAlive(kubelet, "SIGSTOP");
  return {
    name,
    silentAtMs,
    reconnect: () => link(fabric, index, "up"),
    comeBack: async () => {
      await link(fabric, index, "up");
      signalIfAlive(kubelet, "SIGCONT");
    },
  };
}

/** The switch's end of a node's link: the node's own addresses and routes stay. */
async function link(fabric: ProcessIdentity, index: number, state: "up" | "down"): Promise<void> {
  await runIn(fabric.pid, ["net"], [`ip link set node${index} ${state}`]);
}
