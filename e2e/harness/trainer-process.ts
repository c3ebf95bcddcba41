import { readdir, readFile } from "node:fs/promises";
import { identify, type ProcessIdentity } from "../cluster/processes/process-identity.ts";

/** Which of an attempt's containers is meant. */
export type Role = "trainer" | "agent";

/**
 * The process id, on this machine, of the training container's first process of an attempt. Null when there is none,
 * which a test that races with an end has to expect.
 */
export async function findTrainerProcess(runUid: string, attempt: number, worker = 0): Promise<number | null> {
  return (await findPodProcess({ runUid, attempt, worker }, "trainer"))?.pid ?? null;
}

/**
 * The first process of a container of an attempt, of worker 0's unless told otherwise; null when there is none. Found by
 * the variables that the operator gave it, so it works for real containers (as root) and for process nodes alike. The agent
 * of the same pod carries more variables than the trainer and is told apart by them; of a container's processes the oldest
 * is meant.
 */
export async function findPodProcess(
  { runUid, attempt, worker = 0 }: Readonly<{ runUid: string; attempt: number; worker?: number }>,
  role: Role,
): Promise<ProcessIdentity | null> {
  const whose = [`TRAININGRUN_UID=${runUid}`, `TRAININGRUN_ATTEMPT=${attempt}`, `TRAININGRUN_WORKER=${worker}`];
  const found: { pid: number; startTicks: number }[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const environment = await readFile(`/proc/${entry}/environ`, "utf8").catch(() => "");
    const variables = environment.split("\0");
    if (!whose.every((variable) => variables.includes(variable))) continue;
    if (variables.some((variable) => variable.startsWith("TRAININGRUN_RETENTION=")) !== (role === "agent")) continue;
    const stat = await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "");
    // Field 22 of proc(5)'s stat, counted after the command's closing parenthesis (field 2).
    const startTicks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
    if (Number.isFinite(startTicks)) found.push({ pid: Number(entry), startTicks });
  }
  const [oldest] = found.toSorted((a, b) => a.startTicks - b.startTicks);
  return oldest === undefined ? null : (identify(oldest.pid) ?? null);
}
