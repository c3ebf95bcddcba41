import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import type { PreparedContainer } from "../container/container-run.ts";
import { podVariables } from "../container/environment.ts";
import { expand } from "../container/expansion.ts";
import { commandLine, findImage, type ImageProblem, type ProcessImage } from "../container/images.ts";
import { Unavailable } from "../object-reader.ts";
import { linkNestedMounts, type Mount, rewritePaths } from "../volumes/mounts.ts";
import type { FileSources } from "../volumes/volume-files.ts";
import type { VolumeDirectories } from "../volumes/volumes.ts";
import type { Container } from "./pod.ts";

/** Where a service account's token and certificate authority are mounted in every container. */
const serviceAccountPath = "/var/run/secrets/kubernetes.io/serviceaccount";

/** What a container is prepared from. */
export interface PreparationSources extends FileSources {
  readonly container: Container;
  readonly volumes: VolumeDirectories;
  /** The container's own directory: logs, termination message, home, temporary files. */
  readonly directory: string;
  readonly images: Readonly<Record<string, ProcessImage>>;
  readonly server: string;
  /** Variables by which the node knows its processes. */
  readonly mark: Readonly<Record<string, string>>;
}

/** The log of one run of a container. */
export function logPath(containerDirectory: string, restartCount: number): string {
  return join(containerDirectory, `${restartCount}.log`);
}

/**
 * Turns a container's spec into a command of this machine: image looked up, variables resolved and expanded, paths
 * rewritten to where the mounts really are.
 *
 * @throws {Unavailable} when something that the container refers to is missing.
 */
export async function prepareContainer(
  sources: PreparationSources,
  restartCount: number,
): Promise<PreparedContainer | { readonly imageProblem: ImageProblem }> {
  const { container, images, place, directory } = sources;
  const image = findImage(container.image, images);
  if ("problem" in image) return { imageProblem: image.problem };
  const variables = await podVariables(sources);
  const messagePath = join(directory, "termination-log");
  await mkdir(join(directory, "tmp"), { recursive: true });
  await writeFile(messagePath, "");
  const mounts = await mountsOf(sources, variables);
  await linkNestedMounts(mounts);
  const imagePaths = Object.entries(image.found.paths ?? {});
  const paths = [
    ...imagePaths.map(([mountPath, hostPath]) => ({ mountPath, hostPath })),
    ...mounts,
    { mountPath: container.terminationMessagePath, hostPath: messagePath },
  ];
  const rewrite = (text: string) => rewritePaths(text, paths);
  const given = [...variables].map(([name, value]): [string, string] => [name, rewrite(value)]);
  const env = {
    ...(await surroundings(sources, mounts)),
    ...image.found.env,
    ...Object.fromEntries(given),
    ...sources.mark,
  };
  const own = { command: expandAll(container.command, variables), args: expandAll(container.args, variables) };
  const command = commandLine({ command: own.command.map(rewrite), args: own.args.map(rewrite) }, image.found);
  const workingDirectory = rewrite(container.workingDir ?? "") || image.found.workingDirectory;
  return {
    launch: { command, env, workingDirectory, logPath: logPath(directory, restartCount) },
    target: { podIP: place.podIP, ports: container.ports, env, workingDirectory, rewrite },
    messagePath,
  };
}

async function mountsOf(
  { container, volumes }: PreparationSources,
  variables: ReadonlyMap<string, string>,
): Promise<Mount[]> {
  const mounts = container.volumeMounts.map(async ({ name, mountPath, subPath, subPathExpr }): Promise<Mount> => {
    const volume = volumes.get(name);
    if (volume === undefined)
      throw new Unavailable(`Cannot mount ${mountPath} because the pod has no volume "${name}"`);
    const hostPath = join(volume, subPath || expand(subPathExpr, variables));
    if (!existsSync(hostPath)) await mkdir(hostPath, { recursive: true });
    return { mountPath, hostPath };
  });
  return Promise.all(mounts);
}

/** What a container finds in its environment without asking: places of its own and the way to the API server. */
async function surroundings(
  { pod, directory, server }: PreparationSources,
  mounts: readonly Mount[],
): Promise<Record<string, string>> {
  const { hostname, port } = new URL(server);
  const account = mounts.find(({ mountPath }) => mountPath === serviceAccountPath);
  return {
    PATH: process.env.PATH ?? "",
    HOME: directory,
    TMPDIR: join(directory, "tmp"),
    HOSTNAME: pod.spec.hostname ?? pod.metadata.name,
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port || "443",
    ...(account === undefined
      ? {}
      : { KUBECONFIG: await writeAccountKubeconfig(account.hostPath, { pod, directory, server }) }),
  };
}

// Clients look for the token at a path that is fixed and that a process cannot have for itself, but they look for a
// kubeconfig first.
async function writeAccountKubeconfig(
  account: string,
  { pod, directory, server }: Pick<PreparationSources, "pod" | "directory" | "server">,
): Promise<string> {
  const path = join(directory, "kubeconfig");
  const name = "pod";
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": name,
    contexts: [{ name, context: { cluster: name, user: name, namespace: pod.metadata.namespace } }],
    clusters: [{ name, cluster: { server, "certificate-authority": join(account, "ca.crt") } }],
    users: [{ name, user: { tokenFile: join(account, "token") } }],
  };
  await writeFile(path, stringify(config), { mode: 0o600 });
  return path;
}

function expandAll(texts: readonly string[], variables: ReadonlyMap<string, string>): string[] {
  return texts.map((text) => expand(text, variables));
}
