import { readFileSync } from "node:fs";
import { type Child, startChild, waitFor } from "../processes/child.ts";
import { run } from "../processes/command.ts";

/** The kinds of namespaces that the cluster uses. */
export type NamespaceKind = "net" | "mount" | "uts";

/**
 * Starts a process that does nothing but hold namespaces of its own. What is in them (mounts, links, addresses, routes)
 * is gone when it and all that entered them have ended: the kernel cleans up, even after a crash of ours.
 */
export async function startAnchor(options: {
  name: string;
  kinds: readonly NamespaceKind[];
  logDirectory: string;
}): Promise<Child> {
  const child = startChild({
    name: options.name,
    command: "unshare",
    args: [...options.kinds.map((kind) => `--${kind}`), "--", "sleep", "infinity"],
    logPath: `${options.logDirectory}/${options.name}.log`,
  });
  // It becomes `sleep` only after it is in its namespaces.
  const probe = async () => commandOf(child.identity.pid) === "sleep";
  try {
    await waitFor(child, { what: "its namespaces", probe, timeoutMs: 30_000 });
  } catch (error) {
    await child.stop();
    throw error;
  }
  return child;
}

/** The name of the program that a process runs; undefined when it has ended. */
function commandOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Arguments of `nsenter` that run a command in the namespaces of a process. */
export function enter(pid: number, kinds: readonly NamespaceKind[], command: readonly string[]): string[] {
  return [`--target=${pid}`, ...kinds.map((kind) => `--${kind}`), "--", ...command];
}

/** Runs shell lines in the namespaces of a process, to the first that fails. */
export async function runIn(pid: number, kinds: readonly NamespaceKind[], lines: readonly string[]): Promise<void> {
  await run("nsenter", enter(pid, kinds, ["sh", "-ec", lines.join("\n")]));
}
