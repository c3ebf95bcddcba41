import { readFile } from "node:fs/promises";

/** What a process has taken of the machine since it began. */
export type Usage = Readonly<{ cpuSeconds: number; peakRssMiB: number }>;

/** Linux counts processor time in hundredths of a second, whatever the kernel's own rhythm. */
const ticksPerSecond = 100;
/** Fields of `/proc/PID/stat` behind the program's name, which may hold spaces itself. */
const userTicksField = 11;
const systemTicksField = 12;

/** Reads it from the kernel. @throws {Error} where the process is gone. */
export async function usageOf(pid: number): Promise<Usage> {
  const [stat, status] = await Promise.all([read(pid, "stat"), read(pid, "status")]);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[userTicksField]) + Number(fields[systemTicksField]);
  const peakKiB = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
  return { cpuSeconds: ticks / ticksPerSecond, peakRssMiB: peakKiB / 1024 };
}

function read(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, "utf8");
}
