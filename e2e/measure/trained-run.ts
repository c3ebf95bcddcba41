import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { projectDirectory } from "../cluster/images/project-images.ts";

/** Overrides of the example that a measurement trains. */
export type Changes = Readonly<{ env: Readonly<Record<string, string>>; intervalSteps: number }>;

const Manifest = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({ spec: z.looseObject({ containers: z.array(z.looseObject({})).min(1) }) }),
    checkpoint: z.looseObject({}),
  }),
});
type Manifest = z.infer<typeof Manifest>;

/** `examples/mnist.yaml` with other settings of its script: what every measurement on a cluster trains. */
export async function mnistManifest({ env, intervalSteps }: Changes): Promise<Manifest> {
  const text = await readFile(join(projectDirectory, "examples", "mnist.yaml"), "utf8");
  const manifest = Manifest.parse(parse(text));
  const { spec } = manifest;
  const [trainer] = spec.template.spec.containers;
  const variables = Object.entries(env).map(([name, value]) => ({ name, value }));
  const containers = [{ ...trainer, env: variables }];
  return {
    ...manifest,
    spec: {
      ...spec,
      template: { ...spec.template, spec: { ...spec.template.spec, containers } },
      checkpoint: { ...spec.checkpoint, interval: { steps: intervalSteps } },
    },
  };
}
