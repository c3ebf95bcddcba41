import { labels } from "../api/names.ts";
import { agentName } from "../api/template.ts";
import { controllerUid, type KubeObject } from "../kubernetes/kube-object.ts";
import type { Caches } from "./caches.ts";
import type { Probed } from "./probe.ts";

/** The agents that can be asked: of pods of a known run, with an address, whose agent runs. */
export function probedAgents(caches: Pick<Caches, "runs" | "pods">): readonly Probed[] {
  return caches.pods.all().flatMap((pod) => {
    const { namespace, uid, labels: carried } = pod.metadata;
    const run = `${namespace}/${carried?.[labels.run]}`;
    const owner = controllerUid(pod);
    const ip = runningAgentAddress(pod);
    if (ip === undefined || owner === undefined || caches.runs.get(run)?.metadata.uid !== owner) return [];
    return [{ ip, podUid: uid, runUid: owner, run }];
  });
}

type Status = Readonly<{
  podIP?: string;
  initContainerStatuses?: readonly Readonly<{ name: string; state?: Readonly<{ running?: unknown }> }>[];
}>;

function runningAgentAddress(pod: KubeObject): string | undefined {
  const status = pod.status as Status | undefined;
  const agent = status?.initContainerStatuses?.find(({ name }) => name === agentName);
  return agent?.state?.running === undefined ? undefined : status?.podIP;
}
