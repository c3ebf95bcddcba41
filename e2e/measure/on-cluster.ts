import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Installation, install } from "../harness/installation.ts";

type Options = Readonly<{ name: string; signal: AbortSignal; report: (line: string) => void }>;

/** Does something on a cluster of its own with the product installed, and ends that cluster, however it went. */
export async function onCluster<T>(
  { name, signal, report }: Options,
  work: (installation: Installation) => Promise<T>,
): Promise<T> {
  const parent = await mkdtemp(join(tmpdir(), `trainingrun-${name}-`));
  try {
    const installation = await install({ directory: join(parent, "cluster"), report, signal });
    try {
      return await work(installation);
    } finally {
      await installation.remove();
    }
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}
