import { readdir, readFile } from "node:fs/promises";

/**
 * The process id, on this machine, of the training container's first process of an attempt. Found by the variables that the
 * operator gave it, so it works for real containers (as root) and for process nodes alike. The agent of the same pod
 * carries more variables than the trainer and is told apart by them; of the trainer's processes the oldest is meant.
 * Null when there is none, which a test that races with an end has to expect.
 */
export async function findTrainerProcess(runUid: string, attempt: number): Promise<number | null> {
  const found: { pid: number; startTicks: number }[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const environment = await readFile(`/proc/${entry}/environ`, "utf8").catch(() => "");
    const variables = environment.split("\0");
    if (!variables.includes(`TRAININGRUN_UID=${runUid}`) || !variables.includes(`TRAININGRUN_ATTEMPT=${attempt}`))
      continue;
    if (variables.some((variable) => variable.startsWith("TRAININGRUN_RETENTION="))) continue;
    const stat = await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "");
    // Field 22 of proc(5)'s stat, counted after the command's closing parenthesis (field 2).
    const startTicks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
    if (Number.isFinite(startTicks)) found.push({ pid: Number(entry), startTicks });
  }
  const [oldest] = found.toSorted((a, b) => a.startTicks - b.startTicks);
  return oldest?.pid ?? null;
}
