import { clusterId } from "../cluster-directory.ts";
import type { Child } from "../processes/child.ts";
import { run } from "../processes/command.ts";
import { tryHold } from "../processes/lock.ts";
import { runIn, startAnchor } from "./namespaces.ts";
import { freeNetworkNumber, type NetworkPlan, type NodeAddresses, nodeAddresses, planNetwork } from "./network-plan.ts";

/**
 * The network of a cluster:
 *
 *     machine ──veth── ┌─ switch ─┐ ──veth── node-a ──bridge── pods
 *                      │  bridge  │ ──veth── node-b ──bridge── pods
 *                      └──────────┘
 *
 * The bridge is in a network namespace of its own, not on the machine: the machine's firewall (Docker's, say) does not
 * see traffic between nodes, no rule of it is changed, and when the switch ends, every link in it is gone at once.
 */
export interface Switch {
  readonly plan: NetworkPlan;
  /** The machine's own link into the network; its peer is in the switch. */
  readonly link: string;
  readonly anchor: Child;
}

/** The name of the machine's link into the network of a directory's cluster: 15 letters, the most that Linux takes. */
export function linkName(directory: string): string {
  return `tr-${clusterId(directory)}`;
}

/**
 * Takes a network that this machine has no other use for. It is held until this process ends: two clusters that start at
 * the same instant see the same routes, and would choose the same.
 */
export async function takeNetwork(): Promise<NetworkPlan> {
  const routes = await run("ip", ["-4", "route", "show", "table", "all"]);
  const lines = routes.split("\n").map((line) => line.replace(/^(local|broadcast|unreachable) /, ""));
  const taken = lines.map((line) => line.split(" ")[0] ?? "");
  for (;;) {
    const plan = planNetwork(freeNetworkNumber(taken));
    if ((await tryHold(`network ${plan.range}`)) !== undefined) return plan;
    taken.push(plan.range);
  }
}

/** Starts the switch of a directory's cluster and connects the machine to it. */
export async function startSwitch(
  plan: NetworkPlan,
  { directory, logDirectory }: { directory: string; logDirectory: string },
): Promise<Switch> {
  const anchor = await startAnchor({ name: "switch", kinds: ["net"], logDirectory });
  const { pid } = anchor.identity;
  const link = linkName(directory);
  try {
    await runIn(pid, ["net"], ["ip link add cluster type bridge", "ip link set lo up", "ip link set cluster up"]);
    await ip(`link add ${link} type veth peer name machine netns ${pid}`);
    await runIn(pid, ["net"], ["ip link set machine master cluster up"]);
    await ip(`addr add ${plan.hostAddress}/24 dev ${link}`);
    await ip(`link set ${link} up`);
  } catch (error) {
    await anchor.stop();
    throw error;
  }
  return { plan, link, anchor };
}

/** Connects a node's network to the switch and makes its pods reachable from the machine and from the other nodes. */
export async function connectNode(
  { plan, link, anchor }: Switch,
  node: { anchor: Child; index: number; count: number },
): Promise<NodeAddresses> {
  const own = nodeAddresses(plan, node.index);
  const port = `node${node.index}`;
  await runIn(
    anchor.identity.pid,
    ["net"],
    [
      `ip link add ${port} type veth peer name eth0 netns ${node.anchor.identity.pid}`,
      `ip link set ${port} master cluster up`,
    ],
  );
  const others = Array.from({ length: node.count }, (_, index) => index).filter((index) => index !== node.index);
  await runIn(
    node.anchor.identity.pid,
    ["net"],
    [
      "ip link set lo up",
      `ip addr add ${own.address}/24 dev eth0`,
      "ip link set eth0 up",
      // No route leads out of the cluster. Addresses of services are translated on the way to this link.
      `ip route add ${plan.serviceRange} dev eth0`,
      // Never a route for its own range: the pods' bridge brings that one.
      ...others.map((index) => nodeAddresses(plan, index)).map((at) => `ip route add ${at.podRange} via ${at.address}`),
      "echo 1 > /proc/sys/net/ipv4/ip_forward",
    ],
  );
  await ip(`route add ${own.podRange} via ${own.address} dev ${link}`);
  // Every node translates the addresses of services, so any of them will do as the way there from the machine.
  if (node.index === 0) await ip(`route add ${plan.serviceRange} via ${own.address} dev ${link}`);
  return own;
}

async function ip(command: string): Promise<void> {
  await run("ip", command.split(" "));
}
