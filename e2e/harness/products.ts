import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Report } from "../cluster/binaries.ts";
import type { ImageSource } from "../cluster/images.ts";
import type { ProcessImage } from "../cluster/process-node.ts";

/** The project's directory, from which everything is built. */
export const projectDirectory = join(import.meta.dirname, "..", "..");

const products = ["operator", "agent", "trainer"] as const;
/** What an image starts when the pod names no command; the trainer's pods always name one. */
const programs = { operator: ["operator.mjs"], agent: ["agent.cjs"], trainer: [] } as const;
const tag = "dev";
const buildTimeoutMs = 5 * 60_000;

/** Bundles operator, agent and trainer into `.build/images/`: what their images hold, and what process nodes run. */
export async function buildBundles(report: Report, signal: AbortSignal): Promise<void> {
  report("Bundling operator, agent and trainer: usually 5 seconds");
  for (const product of products) {
    await promisify(execFile)(process.execPath, [join(projectDirectory, product, "build.ts")], {
      cwd: projectDirectory,
      signal,
      timeout: buildTimeoutMs,
    });
  }
}

/** How the three images are built from those bundles, on the base image made here. */
export function imageSources(baseImage: string): readonly ImageSource[] {
  return products.map((product) => ({
    tag: imageName(product),
    dockerfile: join(projectDirectory, "images", product, "Dockerfile"),
    context: projectDirectory,
    buildArgs: { BASE_IMAGE: baseImage, BUNDLE: "prebuilt" },
  }));
}

/** What stands for the three images on process nodes: the same bundles, run where they lie. */
export function processImages(): Readonly<Record<string, ProcessImage>> {
  return Object.fromEntries(
    products.map((product) => {
      const directory = join(projectDirectory, ".build", "images", product);
      const root = `/opt/trainingrun/${product}`;
      const [program] = programs[product];
      const entrypoint = program === undefined ? [] : [process.execPath, join(directory, program)];
      return [imageName(product), { entrypoint, env: {}, workingDirectory: directory, paths: { [root]: directory } }];
    }),
  );
}

/** The image's name, as examples and the chart's values of the demo give it. */
export function imageName(product: (typeof products)[number]): string {
  return `localhost/trainingrun/${product}:${tag}`;
}
