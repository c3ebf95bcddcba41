import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { ensureHelm } from "../cluster/build/binaries.ts";
import { CommandFailed, run } from "../cluster/processes/command.ts";

/** Where the chart is. */
export const chartDirectory = join(import.meta.dirname, "../../charts/trainingrun-operator");

/** The release that the tests render. */
export const release = { name: "trainingrun", namespace: "trainingrun-system" } as const;

/** The version of Kubernetes that is rendered for; Helm by itself assumes the one it was built with. */
export const kubeVersion = "1.35.0";

/** A Kubernetes object as a template writes it. */
export const Rendered = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});
export type Rendered = z.infer<typeof Rendered>;

/** The objects that the chart makes of these values, in Helm's order. */
export async function renderChart(values: unknown): Promise<readonly Rendered[]> {
  const output = await helm(["template", release.name, chartDirectory, "--kube-version", kubeVersion], values);
  return parseAllDocuments(output)
    .map((document): unknown => document.toJS())
    .filter((object) => object !== null)
    .map((object) => Rendered.parse(object));
}

/** What Helm says when it refuses these values, one line for each. */
export async function refusalOf(values: unknown): Promise<readonly string[]> {
  try {
    await renderChart(values);
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    const lines = error.message.split("\n").map((line) => line.replace(/^[ |]+/, ""));
    return lines.filter((line) => line.startsWith("- at "));
  }
  return [];
}

/** The one object of a kind. */
export function only(objects: readonly Rendered[], kind: string): Rendered {
  const found = objects.filter((object) => object.kind === kind);
  const [object] = found;
  if (object === undefined || found.length !== 1) {
    throw new Error(`Expected one ${kind}, found ${found.map(({ metadata }) => metadata.name).join(", ") || "none"}`);
  }
  return object;
}

/** Runs Helm on the tests' release, with the values as its input. */
export async function helm(args: readonly string[], values: unknown): Promise<string> {
  const namespace = ["--namespace", release.namespace];
  return run(await ensureHelm(), [...args, ...namespace, "--values", "-"], { input: JSON.stringify(values) });
}
