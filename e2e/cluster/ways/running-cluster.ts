import type { ClusterState } from "../cluster-state.ts";
import type { Child } from "../processes/child.ts";

/** A cluster of this machine's, as the process sees it that started it. */
export interface RunningCluster {
  readonly kubeconfigPath: string;
  readonly nodes: ClusterState["nodes"];
  processes(): readonly Child[];
  /** Ends all of it. */
  stop(): Promise<void>;
}
