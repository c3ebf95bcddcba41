import { join } from "node:path";
import { projectDirectory, projectImages, projectImageTag } from "../cluster/images/project-images.ts";
import type { ProcessImage } from "../cluster/process-node/process-node.ts";

/** What node runs in an image when the pod names no command; the trainer's pods always name their script. */
const programs = { operator: ["operator.mjs"], agent: ["agent.cjs"], trainer: [] } as const;

/** What stands for the three images on process nodes: the same bundles, run where they lie. */
export function processImages(): Readonly<Record<string, ProcessImage>> {
  return Object.fromEntries(
    projectImages.map((name): [string, ProcessImage] => {
      const directory = join(projectDirectory, ".build", "images", name);
      const [program] = programs[name];
      const script = program === undefined ? [] : [join(directory, program)];
      // Without tini: a process of this machine is not the first of a container.
      const entrypoint = [process.execPath, ...script];
      const paths = { [`/opt/trainingrun/${name}`]: directory };
      return [projectImageTag(name), { entrypoint, env: {}, workingDirectory: directory, paths }];
    }),
  );
}
