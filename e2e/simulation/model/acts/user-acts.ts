import { labels, plural as runsPlural, saveRequestAnnotation } from "@trainingrun/operator/api/names.ts";
import { pods, services } from "@trainingrun/operator/kubernetes/resource.ts";
import type { FaultName } from "../../plan/faults.ts";
import { missingImage, trainerContainer } from "../run-spec.ts";
import { type Act, livingPod } from "./act.ts";

/** What people do to their runs. */
export const userActs = {
  SaveRequested: onRun((acts, name) => {
    const { scheduler } = acts.world;
    const time = new Date(scheduler.epochMs + scheduler.now).toISOString();
    acts.world.user.annotate(name, { [saveRequestAnnotation]: time });
    return null;
  }),
  RunEdited: onRun((acts, name, { id }) => {
    acts.world.user.edit(name, { template: { metadata: { annotations: { "example.com/edit": id } } } });
    return null;
  }),
  /** The run waits in another queue from its next attempt on, or in none. */
  RunRequeued: onRun((acts, name, { args: { taken } }) => {
    acts.world.user.relabel(name, { [labels.queue]: taken === 1 ? null : "others" });
    return null;
  }),
  RunMisedited: onRun((acts, name) => {
    acts.world.user.edit(name, { template: { spec: { containers: [trainerContainer(missingImage)] } } });
    return () => acts.world.user.edit(name, { template: { spec: { containers: [trainerContainer()] } } });
  }),
  RunSuspended: onRun((acts, name, { args: { resumed } }) => {
    acts.world.user.edit(name, { suspend: true });
    return resumed === 1 ? () => acts.world.user.edit(name, { suspend: false }) : null;
  }),
  RunDeleted: onRun((acts, name) => {
    acts.world.user.deleteRun(name);
    return null;
  }),
  RunRecreated: onRun((acts, name) => {
    const { scheduler, api } = acts.world;
    const uid = acts.world.run(name)?.metadata.uid;
    let isOver = false;
    api.store.listen(({ plural }, { type, object }) => {
      if (isOver || plural !== runsPlural || type !== "DELETED" || object.metadata.uid !== uid) return;
      isOver = true;
      scheduler.after(scheduler.world, recreateMs, () => {
        if (acts.mayCreate(name)) acts.world.user.createRun(name);
      });
    });
    acts.world.user.deleteRun(name);
    return null;
  }),
  /** Only once all that belongs there has been made: what comes later would find no place. */
  NamespaceDeleted: (acts, fault) => {
    const { world, runs } = acts;
    const inside = runs.filter(({ namespace }) => namespace === fault.target);
    const isFull = inside.every(({ name }) => world.run(name) !== undefined);
    if (!isFull || world.user.namespace(fault.target) === undefined) return null;
    acts.met(fault);
    world.user.deleteNamespace(fault.target);
    return null;
  },
  /** That of a gang, by which its workers find each other. */
  ServiceDeleted: (acts, fault) => {
    const { world } = acts;
    const { namespace } = world.scenarioOf(fault.target);
    const uid = world.run(fault.target)?.metadata.uid;
    const found = world.api.store
      .list(services, namespace)
      .find(({ object }) => uid !== undefined && object.metadata.labels?.[labels.runUid] === uid)?.object;
    if (found === undefined) return null;
    acts.met(fault);
    const { name, uid: own } = found.metadata;
    world.user.does((api) => api.remove({ resource: services, namespace, name }, { uid: own }));
    return null;
  },
  FinalizerStripped: (acts, fault) => {
    const { world } = acts;
    const isRun = fault.args.ofPod !== 1;
    const held = isRun ? world.run(fault.target) : livingPod(acts, fault);
    if (held?.metadata.finalizers === undefined) return null;
    acts.met(fault);
    const { namespace, name, uid } = held.metadata;
    const target = { resource: isRun ? world.runs : pods, namespace, name };
    const patch = { metadata: { uid, finalizers: null } };
    world.user.does((api) => api.patch(target, "application/merge-patch+json", patch));
    return null;
  },
} as const satisfies Partial<Record<FaultName, Act>>;

/** So long somebody takes to notice that the name is free. */
const recreateMs = 500;

type OfRun = (...args: [acts: Parameters<Act>[0], name: string, fault: Parameters<Act>[1]]) => ReturnType<Act>;

/** What is done to a run that is there and has not been deleted. */
function onRun(does: OfRun): Act {
  return (acts, fault) => {
    const run = acts.world.run(fault.target);
    if (run === undefined || run.metadata.deletionTimestamp !== undefined) return null;
    acts.met(fault);
    return does(acts, fault.target, fault);
  };
}
