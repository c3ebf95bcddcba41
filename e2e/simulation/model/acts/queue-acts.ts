import type { FaultName } from "../../plan/faults.ts";
import { type Act, livingPod } from "./act.ts";

/** What the queue does that a run's user has put it into. */
export const queueActs = {
  QueueHolds: (acts, fault) =>
    acts.world.cluster.queue.hold(({ metadata: { uid } }) => {
      const isIts = acts.world.podsOf(fault.target).some((pod) => pod.metadata.uid === uid);
      if (isIts) acts.met(fault);
      return isIts;
    }),
  QueueTakesBack: (acts, fault) => {
    const pod = livingPod(acts, fault);
    if (pod !== undefined && acts.world.cluster.queue.takeBack(pod)) acts.met(fault);
    return null;
  },
} as const satisfies Partial<Record<FaultName, Act>>;
