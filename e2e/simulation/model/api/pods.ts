import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import type { Cause } from "./answers.ts";
import { builtIn, type Kind, type Part, required } from "./kind.ts";
import { type Fields, fieldsOf, isSame, listOf, type StoredObject } from "./object.ts";

/** Pods, with the defaults and rules that the models read or rest on; most of a pod's schema is left out. */
export const podKind: Kind = builtIn(pods, {
  hasStatus: true,
  countsGenerations: true,
  showsDeleted: true,
  endsGracefully: true,
  selectable: ["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "status.phase", "status.podIP"],
  decoded: (pod) => ({ ...pod, spec: specOf(fieldsOf(pod.spec)) }),
  made: (pod) => ({ ...pod, status: firstStatus(fieldsOf(pod.spec)) }),
  problems,
});

const secondsUntilEvicted = 300;

function specOf(spec: Fields): Fields {
  if ("schedulerName" in spec && "terminationGracePeriodSeconds" in spec && "tolerations" in spec) return spec;
  const containers = {
    ...(spec.initContainers === undefined ? {} : { initContainers: listOf(spec.initContainers).map(containerOf) }),
    containers: listOf(spec.containers).map(containerOf),
  };
  return {
    restartPolicy: "Always",
    terminationGracePeriodSeconds: 30,
    dnsPolicy: "ClusterFirst",
    schedulerName: "default-scheduler",
    ...spec,
    ...containers,
    tolerations: tolerationsOf(listOf(spec.tolerations)),
  };
}

function containerOf(container: unknown): Fields {
  const given = fieldsOf(container);
  const defaults = { terminationMessagePath: "/dev/termination-log", terminationMessagePolicy: "File" };
  return { ...defaults, ...given };
}

/** A pod bears a node that is not ready, or not to be reached, for five minutes, unless it says otherwise. */
function tolerationsOf(given: readonly unknown[]): readonly unknown[] {
  const bears = (key: string) =>
    given.map(fieldsOf).some((each) => (each.key ?? key) === key && (each.effect ?? "NoExecute") === "NoExecute");
  const missing = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].filter((key) => !bears(key));
  const added = missing.map((key) => ({
    key,
    operator: "Exists",
    effect: "NoExecute",
    tolerationSeconds: secondsUntilEvicted,
  }));
  return [...given, ...added];
}

function firstStatus(spec: Fields): Fields {
  if (listOf(spec.schedulingGates).length === 0) return { phase: "Pending" };
  const message = "Scheduling is blocked due to non-empty scheduling gates";
  const condition = { type: "PodScheduled", status: "False", reason: "SchedulingGated", message };
  return { phase: "Pending", conditions: [condition] };
}

function problems(pod: StoredObject, before: StoredObject | undefined, part: Part): readonly Cause[] {
  if (part === "status" || (before !== undefined && before.spec === pod.spec)) return [];
  const spec = fieldsOf(pod.spec);
  const containers = listOf(spec.containers);
  if (before !== undefined && !isSame(fixed(spec), fixed(fieldsOf(before.spec)))) {
    const message = "Forbidden: pod updates may not change fields other than images, deadlines and tolerations";
    return [{ reason: "FieldValueForbidden", field: "spec", message }];
  }
  return [
    ...(containers.length === 0 ? [required("spec.containers")] : []),
    ...containers.flatMap((container, index) =>
      fieldsOf(container).name === undefined ? [required(`spec.containers[${index}].name`)] : [],
    ),
  ];
}

/** The part of the spec that no update may change. */
function fixed(spec: Fields): Fields {
  const { activeDeadlineSeconds: _, terminationGracePeriodSeconds: __, schedulingGates: ___, ...rest } = spec;
  const withoutImage = (container: unknown) => ({ ...fieldsOf(container), image: undefined });
  return {
    ...rest,
    tolerations: undefined,
    containers: listOf(spec.containers).map(withoutImage),
    initContainers: listOf(spec.initContainers).map(withoutImage),
  };
}
