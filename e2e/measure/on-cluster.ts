import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClusterChoice, type Installation, install } from "../harness/installation.ts";

type Options = ClusterChoice & Readonly<{ name: string; signal: AbortSignal; report: (line: string) => void }>;

/** Does something on a cluster of its own with the product installed, and ends that cluster, however it went. */
export async function onCluster<T>(
  { name, signal, report, ...choice }: Options,
  work: (installation: Installation) => Promise<T>,
): Promise<T> {
  const parent = await mkdtemp(join(tmpdir(), `trainingrun-${name}-`));
  try {
    const installation = await install({ directory: join(parent, "cluster"), report, signal, ...choice });
    try {
      return await work(installation);
    } finally {
      await installation.remove();
    }
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}
