import type { ObjectCache } from "@trainingrun/operator/kubernetes/cache.ts";
import type { KubeObject } from "@trainingrun/operator/kubernetes/kube-object.ts";
import type { ScalePlane } from "./scale-plane.ts";

/** A process whose use of the machine is counted. */
export type Counted = Readonly<{ name: string; pid: number }>;

/** Who keeps pods running, on one control plane. */
export interface Contender extends AsyncDisposable {
  /** Its own processes, beside those of the control plane. */
  readonly processes: readonly Counted[];
  /** Creates the object of that name, which wants one pod. */
  create(name: string, signal: AbortSignal): Promise<void>;
  /** The name of the object that a pod is for; undefined where it is for none. */
  objectOf(pod: KubeObject): string | undefined;
  /** What a container of its pods leaves in its termination message. */
  lastWords(pod: KubeObject, container: string): string;
  /** Ends the process that leads, so that another one does. Absent where there is only one. */
  changeLeader?(how: LeaderEnd): Promise<void>;
}

/** Asked to end, a leader gives its turn away; killed, it is missed only once its turn is over. */
export type LeaderEnd = "Asked" | "Killed";

/** How a contender is brought to a control plane. */
export type ContenderStart = Readonly<{
  name: string;
  start: (plane: ScalePlane, pods: PodsOfNodes, signal: AbortSignal) => Promise<Contender>;
}>;

/** The pods, as the fake nodes know them. */
export type PodsOfNodes = ObjectCache<KubeObject>;
