import type { Way } from "../cluster-state.ts";
import { hasKind } from "./kind-cluster.ts";

/** What was asked for, of which the way depends. */
export interface WayOptions {
  readonly way?: Way;
  readonly context?: string;
}

/**
 * Chooses how to get a cluster, and says why. The first that applies: the user's own (`KUBECONFIG` or a context is
 * given), `kind` where Docker works, containers on this machine where we are root on Linux, process nodes anywhere.
 */
export async function chooseWay(options: WayOptions): Promise<{ way: Way; reason: string }> {
  if (options.way !== undefined) return { way: options.way, reason: `${names[options.way]}, as asked for` };
  const { KUBECONFIG } = process.env;
  if (options.context !== undefined) return { way: "given", reason: `the given context ${options.context}` };
  if (KUBECONFIG !== undefined && KUBECONFIG !== "") return { way: "given", reason: `KUBECONFIG is ${KUBECONFIG}` };
  if (await hasKind()) return { way: "kind", reason: `${names.kind}, as Docker and kind work here` };
  if (process.platform !== "linux") return { way: "processes", reason: `${names.processes}, as this is not Linux` };
  if (process.getuid?.() !== 0) return { way: "processes", reason: `${names.processes}, as we are not root` };
  return { way: "containers", reason: `${names.containers}, as we are root on Linux` };
}

const names: Readonly<Record<Way, string>> = {
  given: "the one of KUBECONFIG",
  kind: "kind",
  containers: "container nodes on this machine",
  processes: "process nodes on this machine",
};
