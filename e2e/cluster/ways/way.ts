import { existsSync } from "node:fs";
import { missingFor, type Part } from "../build/debian-packages.ts";
import type { Way } from "../cluster-state.ts";
import { hasKind } from "./kind-cluster.ts";

/** What was asked for, of which the way depends. */
export interface WayOptions {
  readonly way?: Way;
  readonly context?: string;
}

/**
 * Chooses how to get a cluster, and says why. The first that applies: the user's own (`KUBECONFIG` or a context is
 * given), `kind` where Docker works, containers on this machine where we are root on Linux with all that it takes,
 * process nodes anywhere.
 *
 * @throws {Error} when packages are missing that the way cannot do without; says which, and what to do.
 */
export async function chooseWay(options: WayOptions): Promise<{ way: Way; reason: string }> {
  const choice = await choose(options);
  const missing = missingFor(needs[choice.way], existsSync);
  if (missing.length === 0) return choice;
  throw new Error(
    `Cannot start ${names[choice.way]}: this machine lacks ${missing.join(", ")}; \`make setup\` installs them on Debian`,
  );
}

async function choose(options: WayOptions): Promise<{ way: Way; reason: string }> {
  if (options.way !== undefined) return { way: options.way, reason: `${names[options.way]}, as asked for` };
  const { KUBECONFIG } = process.env;
  if (options.context !== undefined) return { way: "given", reason: `the given context ${options.context}` };
  if (KUBECONFIG !== undefined && KUBECONFIG !== "") return { way: "given", reason: `KUBECONFIG is ${KUBECONFIG}` };
  if (await hasKind()) return { way: "kind", reason: `${names.kind}, as Docker and kind work here` };
  const why = whyNoContainers();
  if (why === undefined) return { way: "containers", reason: `${names.containers}, as we are root on Linux` };
  return { way: "processes", reason: `${names.processes}, as ${why}` };
}

function whyNoContainers(): string | undefined {
  if (process.platform !== "linux") return "this is not Linux";
  if (process.getuid?.() !== 0) return "we are not root";
  const missing = missingFor(needs.containers, existsSync);
  return missing.length === 0 ? undefined : `container nodes need ${missing.join(", ")}, which \`make setup\` installs`;
}

const needs: Readonly<Record<Way, readonly Part[]>> = {
  given: [],
  kind: [],
  containers: ["cluster", "containers", "images"],
  processes: ["cluster"],
};

const names: Readonly<Record<Way, string>> = {
  given: "the one of KUBECONFIG",
  kind: "kind",
  containers: "container nodes on this machine",
  processes: "process nodes on this machine",
};
