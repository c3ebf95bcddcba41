import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { ensureKubernetes } from "./build/binaries.ts";
import { defaultNodes, down, isRunning, lostProcesses, type UpOptions, up } from "./cluster.ts";
import { clusterDirectory } from "./cluster-directory.ts";
import { type ClusterState, processImagesSchema, readState, ways } from "./cluster-state.ts";
import { buildProjectImages, bundleProjectImages, loadProjectImages } from "./images/project-images.ts";

const usage = `The local Kubernetes cluster of this project.

  node e2e/cluster/main.ts [OPTIONS] COMMAND

  up              start a cluster and leave it running
  down            end it without a trace
  status          say what runs
  kubeconfig      print the path of its kubeconfig
  kubectl ARGS    run kubectl against it
  images          build the project's images, and give them to the cluster if one runs

  --directory DIR          where the cluster is (default: .build/cluster in the project)
  --way WAY                ${ways.join(", ")} (default: the first that works here)
  --context NAME           a context of your own kubeconfig
  --nodes NAME,NAME        (default: ${defaultNodes.map(({ name }) => name).join(",")})
  --gpus N                 simulated GPUs of each node (default: 1)
  --process-images FILE    JSON: what stands for each image on process nodes
`;

const options = {
  directory: { type: "string", default: join(import.meta.dirname, "..", "..", ".build", "cluster") },
  way: { type: "string" },
  context: { type: "string" },
  nodes: { type: "string", default: defaultNodes.map(({ name }) => name).join(",") },
  gpus: { type: "string", default: "1" },
  "process-images": { type: "string" },
  help: { type: "boolean", default: false },
} as const;

async function main(args: readonly string[]): Promise<number> {
  // What comes after `kubectl` is kubectl's, flags included.
  const position = args.indexOf("kubectl");
  const [own, kubectlArgs] = position < 0 ? [args, []] : [args.slice(0, position + 1), args.slice(position + 1)];
  const { values, positionals } = parseArgs({ args: [...own], options, allowPositionals: true });
  const directory = await clusterDirectory(values.directory);
  const [command] = positionals;
  if (values.help || command === undefined) return say(usage, command === undefined && !values.help ? 2 : 0);
  switch (command) {
    case "up":
      return say(describe(await up({ ...(await upOptions(directory, values)), signal: untilInterrupted() })), 0);
    case "down":
      await down({ directory });
      return say(`No cluster is left in ${directory}`, 0);
    case "status":
      return status(directory);
    case "kubeconfig":
      return say((await running(directory)).kubeconfigPath, 0);
    case "images":
      return images(directory);
    case "kubectl":
      return kubectl(await running(directory), kubectlArgs);
    default:
      return say(`Cannot do "${command}": there is no such command\n\n${usage}`, 2);
  }
}

async function upOptions(
  directory: string,
  values: { way?: string; context?: string; nodes: string; gpus: string; "process-images"?: string },
): Promise<UpOptions> {
  const gpus = z.string().regex(/^\d+$/, "--gpus takes a whole number").parse(values.gpus);
  const imagesPath = values["process-images"];
  return {
    directory,
    nodes: values.nodes.split(",").map((name) => ({ name, resources: { "nvidia.com/gpu": gpus } })),
    ...(values.way === undefined ? {} : { way: z.enum(ways).parse(values.way) }),
    ...(values.context === undefined ? {} : { context: values.context }),
    ...(imagesPath === undefined
      ? {}
      : { processImages: processImagesSchema.parse(JSON.parse(await readFile(imagesPath, "utf8"))) }),
  };
}

/** Ctrl-C while a cluster starts ends what was started so far. */
function untilInterrupted(): AbortSignal {
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => interrupted.abort(new Error(`Cannot go on because of ${signal}`)));
  }
  return interrupted.signal;
}

async function status(directory: string): Promise<number> {
  const state = await readState(directory);
  if (state === undefined) return say(`There is no cluster in ${directory}`, 1);
  return say(describe(state), isRunning(state) && lostProcesses(state).length === 0 ? 0 : 1);
}

async function images(directory: string): Promise<number> {
  const state = await readState(directory);
  const report = (line: string) => void process.stdout.write(`${line}\n`);
  const options = { report, signal: untilInterrupted() };
  await bundleProjectImages(options);
  if (state === undefined || !isRunning(state)) await buildProjectImages(options);
  else await loadProjectImages(state, options);
  return 0;
}

async function running(directory: string): Promise<ClusterState> {
  const state = await readState(directory);
  if (state !== undefined && isRunning(state)) return state;
  throw new Error(`Cannot use the cluster of ${directory}: none runs there; start one with \`up\``);
}

async function kubectl(state: ClusterState, args: readonly string[]): Promise<number> {
  const child = spawn(await ensureKubernetes(), ["kubectl", ...args], {
    stdio: "inherit",
    env: { ...process.env, KUBECONFIG: state.kubeconfigPath },
  });
  const [code] = await once(child, "exit");
  return typeof code === "number" ? code : 1;
}

function describe(state: ClusterState): string {
  const phase = isRunning(state) || state.phase === "failed" ? state.phase : "not running any more";
  const nodes = state.nodes.map(({ name }) => name).join(", ");
  const lines = [`Cluster (${state.way}): ${phase}`, `Nodes: ${nodes}`, `export KUBECONFIG=${state.kubeconfigPath}`];
  const lost = lostProcesses(state);
  if (lost.length > 0) lines.push(`Ended: ${lost.join(", ")}`);
  return [...lines, ...(state.error === undefined ? [] : [state.error])].join("\n");
}

function say(text: string, exitCode: number): number {
  (exitCode === 0 ? process.stdout : process.stderr).write(text.endsWith("\n") ? text : `${text}\n`);
  return exitCode;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = say(error instanceof Error ? error.message : String(error), 1);
}
