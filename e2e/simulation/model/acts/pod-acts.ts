import { labels } from "@trainingrun/operator/api/names.ts";
import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import type { Fault, FaultName } from "../../plan/faults.ts";
import { forbidden, Refusal } from "../api/answers.ts";
import type { Admission } from "../api/model-api.ts";
import { outOfMemory } from "../cluster/container-life.ts";
import type { FaultActs } from "../fault-acts.ts";
import { type Act, type Lift, livingPod, onContainer, onPod } from "./act.ts";

/** What happens to pods and their containers, or keeps them from coming to be. */
export const podActs = {
  TrainerKilled: onContainer("trainer", (container) => container.process?.kill("SIGKILL from outside")),
  AgentKilled: onContainer("agent", (container) => container.process?.kill("SIGKILL from outside")),
  TrainerOutOfMemory: onContainer("trainer", (container) => container.force(outOfMemory)),
  TrainerExits: onContainer("trainer", (container, { args: { code: exitCode = 1 } }) => {
    container.force({ exitCode, reason: exitCode === 0 ? "Completed" : "Error", how: "Returned" });
  }),
  AgentKilledAtEnd: (acts, fault) => {
    const { facts, scheduler, cluster } = acts.world;
    return facts.onDone(({ pod, run }) => {
      if (acts.world.run(fault.target)?.metadata.uid !== run) return;
      scheduler.after(scheduler.world, fault.args.afterMs ?? 0, () => {
        const agent = cluster.lifeOf(pod)?.containers.find(({ snapshot }) => snapshot.name === "agent");
        if (!acts.isChaos || agent === undefined || agent.process === null) return;
        acts.met(fault);
        agent.process.kill("SIGKILL before its verdict");
      });
    });
  },
  PodEvicted: onPod((acts, pod) => acts.world.cluster.evict(pod)),
  PodPreempted: onPod((acts, pod) => acts.world.cluster.preempt(pod)),
  PodDeleted: onPod((acts, pod) => acts.world.cluster.deletePod(pod, {})),
  PodForceDeleted: onPod((acts, pod) => acts.world.cluster.deletePod(pod, { gracePeriodSeconds: 0 })),
  PodRelabelled: onPod((acts, pod, { args: { what = 0 } }) => acts.world.user.patchPod(pod, alterations[what] ?? {})),
  PreemptionStorm: (acts, fault) => {
    preemptAgain(acts, fault, fault.args.times ?? 1);
    return null;
  },
  ImageMissing: (acts, fault) => {
    const trouble = fault.args.config === 1 ? configMissing : imageMissing;
    return acts.world.troubleContainers(({ run }) => {
      if (acts.world.run(fault.target)?.metadata.uid !== run) return null;
      acts.met(fault);
      return trouble;
    });
  },
  Unschedulable: (acts, fault) => acts.world.cluster.closeToPods(() => acts.met(fault)),
  QuotaSpent: (acts, fault) =>
    refusingPods(acts, fault, (name) => {
      const why = "exceeded quota: compute, requested: pods=1, used: pods=10, limited: pods=10";
      return forbidden(pods, name, why);
    }),
  AdmissionRefuses: (acts, fault) =>
    refusingPods(acts, fault, () => {
      const message = 'admission webhook "policy.example.com" denied the request: not on this day';
      return new Refusal(403, { reason: "Forbidden", message });
    }),
} as const satisfies Partial<Record<FaultName, Act>>;

const stormEveryMs = 500;
const imageMissing = { reason: "ImagePullBackOff", message: 'Back-off pulling image "model/trainer": not found' };
const configMissing = { reason: "CreateContainerConfigError", message: 'configmap "settings" not found' };

/** What a person may do to a pod's metadata without meaning harm: two labels, all labels, the owner. */
const alterations = [
  { labels: { [labels.runUid]: null } },
  { labels: { [labels.attempt]: "77" } },
  { labels: null },
  { ownerReferences: null },
] as const;

/** Preempts one pod after the other, as long as there are any to come. */
function preemptAgain(acts: FaultActs, fault: Fault, left: number): void {
  const { scheduler, cluster } = acts.world;
  if (left === 0 || !acts.isChaos) return;
  const pod = livingPod(acts, fault);
  const isRunning = pod !== undefined && cluster.life(pod)?.containers.some(({ process }) => process !== null);
  if (pod !== undefined && isRunning) {
    acts.met(fault);
    cluster.preempt(pod);
  }
  scheduler.after(scheduler.world, stormEveryMs, () => preemptAgain(acts, fault, isRunning ? left - 1 : left));
}

function refusingPods(acts: FaultActs, fault: Fault, refusal: (name: string) => Refusal): Lift {
  return acts.world.admitting(({ verb, resource, object }: Admission) => {
    const { role } = acts.world.acting.actor;
    if (verb !== "CREATE" || resource.plural !== pods.plural || role !== "Operator") return;
    acts.met(fault);
    throw refusal(object.metadata.name);
  });
}
