import { kill } from "node:process";
import { loseNode } from "../cluster/container-node/lost-node.ts";
import type { Installation } from "../harness/installation.ts";
import { type InterruptionKind, interrupt } from "../harness/interruptions.ts";
import { until } from "../harness/run-access.ts";
import type { PodView } from "../harness/run-view.ts";
import { findRunVolume } from "../harness/run-volume.ts";
import { findTrainerProcess } from "../harness/trainer-process.ts";
import { startPressedKubelet } from "./pressed-kubelet.ts";
import type { Deed, Victim } from "./row.ts";

/** One of the interruptions that the demo makes as well. */
export function interruption(kind: InterruptionKind): Deed {
  return async ({ installation: { api }, access, run, signal }) => {
    await interrupt(kind, { api, run: access, volume: await findRunVolume(api, run), signal });
    return undefined;
  };
}

/** What an administrator does before he takes a node away: cordon it and evict what runs there. */
export const drain: Deed = async (victim) => {
  const { kubectl } = victim.installation;
  const { node } = await podOf(victim);
  const ofRun = `--pod-selector=trainingrun.dev/run=${victim.access.name.name}`;
  const uncordon = () => kubectl("uncordon", node);
  try {
    await kubectl("drain", node, ofRun, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=50s");
  } catch (error) {
    await uncordon();
    throw error;
  }
  return uncordon;
};

/** A taint that no pod tolerates drives all pods off the node. */
export const taintNoExecute: Deed = async (victim) => {
  const { node } = await podOf(victim);
  return await taint(victim.installation, node, "e2e.trainingrun.dev/unfit=true:NoExecute");
};

/** A node falls silent, its pod writes on, and a person vouches for its being off. */
export const takeOutOfService: Deed = async (victim) => {
  const { installation, signal } = victim;
  const { node } = await podOf(victim);
  const lost = await loseNode(installation.cluster, node);
  const comeBack = async () => {
    await lost.comeBack();
    await until(`node ${node} to be heard of`, signal, () => isReady(installation, node));
  };
  try {
    await until(`node ${node} to be missed`, signal, async () => !(await isReady(installation, node)));
    const untaint = await taint(installation, node, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute");
    return async () => {
      await untaint();
      await comeBack();
    };
  } catch (error) {
    await lost.comeBack();
    throw error;
  }
};

/** The node's object is deleted while its machine goes on: nothing makes it anew before its kubelet is started again. */
export const deleteNode: Deed = async (victim) => {
  const { node } = await podOf(victim);
  await victim.installation.kubectl("delete", "node", node, "--wait=false");
  return undefined;
};

/** The node's kubelet finds that memory is short, because it is told to leave free more than there is. */
export const pressNode: Deed = async (victim) => {
  const { node } = await podOf(victim);
  const { cluster } = victim.installation;
  const relieve = await startPressedKubelet(cluster, node);
  return async () => {
    await relieve();
    await until(`node ${node} to be heard of`, victim.signal, () => isReady(victim.installation, node));
  };
};

/** Somebody deletes the pod; by force, without waiting for its kubelet. */
export function deletePod(...flags: readonly string[]): Deed {
  return async (victim) => {
    const { name, namespace } = await podOf(victim);
    await victim.installation.kubectl("delete", "pod", name, `--namespace=${namespace}`, "--wait=false", ...flags);
    return undefined;
  };
}

/** SIGTERM to the trainer alone, from nobody that the API server knows. */
export const terminateTrainer: Deed = async ({ run }) => {
  const attempt = run.status.attempt ?? 0;
  const pid = await findTrainerProcess(run.metadata.uid, attempt);
  if (pid === null) throw new Error(`Cannot signal the trainer of attempt ${attempt}: no such process on this machine`);
  kill(pid, "SIGTERM");
  return undefined;
};

async function podOf({ access, signal }: Victim): Promise<Readonly<{ name: string; namespace: string; node: string }>> {
  let pod: PodView | null = null;
  await until(`a live pod of ${access.name.name}`, signal, async () => {
    pod = await access.livePod();
    return pod !== null;
  });
  return placeOf(pod);
}

function placeOf(pod: PodView | null) {
  const node = pod?.spec.nodeName;
  if (pod === null || node === undefined) throw new Error("Cannot end a pod that is on no node");
  return { name: pod.metadata.name, namespace: pod.metadata.namespace, node };
}

async function taint({ kubectl }: Installation, node: string, value: string): Promise<() => Promise<unknown>> {
  await kubectl("taint", "node", node, value);
  return () => kubectl("taint", "node", node, `${value}-`);
}

async function isReady({ kubectl }: Installation, node: string): Promise<boolean> {
  const path = '{.status.conditions[?(@.type=="Ready")].status}';
  return (await kubectl("get", "node", node, "-o", `jsonpath=${path}`)).trim() === "True";
}
