/** What stands for an image on a process node: a command of this machine and what surrounds it. */
export interface ProcessImage {
  /** What runs when the container names no command of its own; its paths are this machine's. */
  readonly entrypoint: readonly string[];
  /** Variables under those of the pod. */
  readonly env: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** Directories of the image, and where their files lie on this machine. */
  readonly paths?: Readonly<Record<string, string>> | undefined;
}

/** Why a container's image cannot be used, in the words of a container's waiting state. */
export interface ImageProblem {
  /** First reason, then the reason while the node waits for its next try. */
  readonly reasons: readonly [string, string];
  readonly message: string;
}

const component = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const host = "(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?";
const reference = new RegExp(
  `^${host}${component}(?:/${component})*(?::[\\w][\\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?$`,
);

/** Finds what stands for an image, or says in the kubelet's terms why there is nothing. */
export function findImage(
  name: string,
  images: Readonly<Record<string, ProcessImage>>,
): { found: ProcessImage } | { problem: ImageProblem } {
  const found = Object.hasOwn(images, name) ? images[name] : undefined;
  if (found !== undefined) return { found };
  if (!reference.test(name)) {
    const message = `Failed to apply default image tag "${name}": couldn't parse image name "${name}": invalid reference format`;
    return { problem: { reasons: ["InvalidImageName", "InvalidImageName"], message } };
  }
  const known = Object.keys(images).sort().join(", ");
  const message = `failed to pull image "${name}": this process node knows no such image (it knows: ${known})`;
  return { problem: { reasons: ["ErrImagePull", "ImagePullBackOff"], message } };
}

/** The program and its arguments, by Kubernetes' rules: a command replaces entrypoint and arguments of the image. */
export function commandLine(
  container: { command: readonly string[]; args: readonly string[] },
  image: ProcessImage,
): readonly string[] {
  return [...(container.command.length > 0 ? container.command : image.entrypoint), ...container.args];
}
