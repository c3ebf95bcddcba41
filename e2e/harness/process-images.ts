import { join } from "node:path";
import { projectDirectory, projectImages, projectImageTag } from "../cluster/images/project-images.ts";
import type { ProcessImage } from "../cluster/process-node/process-node.ts";

/** What an image starts when the pod names no command; the trainer's pods always name one. */
const programs = { operator: ["operator.mjs"], agent: ["agent.cjs"], trainer: [] } as const;

/** What stands for the three images on process nodes: the same bundles, run where they lie. */
export function processImages(): Readonly<Record<string, ProcessImage>> {
  return Object.fromEntries(
    projectImages.map((name): [string, ProcessImage] => {
      const directory = join(projectDirectory, ".build", "images", name);
      const [program] = programs[name];
      const entrypoint = program === undefined ? [] : [process.execPath, join(directory, program)];
      const paths = { [`/opt/trainingrun/${name}`]: directory };
      return [projectImageTag(name), { entrypoint, env: {}, workingDirectory: directory, paths }];
    }),
  );
}
