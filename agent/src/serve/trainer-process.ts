import { readdir, readFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { dumpSignalVariable, type PodEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";

/** The trainer's own process, as far as another of its user may see it. */
export type TrainerProcess = Readonly<{
  pid: number;
  name: string;
  /** The kernel's letter and word, such as `T (stopped)`. */
  state: string;
  /** The kernel's function it waits in; empty where it runs, or the kernel does not say. */
  waitsIn: string;
  /** At which signal it tells what it is doing; null where it does not, or does not catch that one. */
  dumpSignal: DumpSignal | null;
}>;

type Who = Pick<PodEnvironment, "TRAININGRUN_UID" | "TRAININGRUN_ATTEMPT" | "TRAININGRUN_WORKER">;

/** Those that no system gives a meaning to. */
const dumpSignals = ["SIGUSR1", "SIGUSR2"] as const;
type DumpSignal = (typeof dumpSignals)[number];

/**
 * The oldest process that carries the trainer's variables. Null where none is seen: the pod does not share its process
 * namespace, or the trainer runs as a user whose processes the agent may not look at.
 */
export async function findTrainerProcess(who: Who, proc = "/proc"): Promise<TrainerProcess | null> {
  const found: (TrainerProcess & { startTicks: number })[] = [];
  for (const name of await readdir(proc).catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    const variables = (await read(join(proc, name, "environ"))).split("\0");
    if (!isTrainer(variables, who)) continue;
    const [stat, status, waitsIn] = await Promise.all(
      ["stat", "status", "wchan"].map((file) => read(join(proc, name, file))),
    );
    found.push({
      pid: Number(name),
      name: fieldOf(status, "Name"),
      state: fieldOf(status, "State"),
      waitsIn: waitsIn === "0" ? "" : (waitsIn ?? ""),
      dumpSignal: caughtSignal(variables, fieldOf(status, "SigCgt")),
      startTicks: startTicksOf(stat ?? ""),
    });
  }
  const [oldest] = found.toSorted((a, b) => a.startTicks - b.startTicks);
  if (oldest === undefined) return null;
  const { startTicks: _, ...trainer } = oldest;
  return trainer;
}

/** Agent and restore carry the same variables, and more. */
function isTrainer(variables: readonly string[], who: Who): boolean {
  return (
    variables.includes(`TRAININGRUN_UID=${who.TRAININGRUN_UID}`) &&
    variables.includes(`TRAININGRUN_ATTEMPT=${who.TRAININGRUN_ATTEMPT}`) &&
    variables.includes(`TRAININGRUN_WORKER=${who.TRAININGRUN_WORKER}`) &&
    !variables.some((variable) => variable.startsWith("TRAININGRUN_POD_UID="))
  );
}

/** A signal that a process does not catch would end it: the wish alone is not enough. */
function caughtSignal(variables: readonly string[], caught: string): DumpSignal | null {
  const wish = variables.find((variable) => variable.startsWith(`${dumpSignalVariable}=`))?.split("=")[1];
  const signal = dumpSignals.find((name) => name === wish);
  if (signal === undefined || !/^[0-9a-f]+$/.test(caught)) return null;
  const bit = 1n << BigInt(constants.signals[signal] - 1);
  return (BigInt(`0x${caught}`) & bit) === 0n ? null : signal;
}

function fieldOf(status: string | undefined, name: string): string {
  return new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status ?? "")?.[1]?.trim() ?? "";
}

/** Field 22 of proc(5)'s stat, counted after the command's closing parenthesis (field 2). */
function startTicksOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
}

/** A process may end, or be another's, between two reads. */
async function read(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
