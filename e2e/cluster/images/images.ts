import { existsSync, statSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheDirectory, removeByPrefix } from "../build/cache.ts";
import { pauseImage } from "../container-node/node-config.ts";
import { run } from "../processes/command.ts";
import { type LockOptions, withLock } from "../processes/lock.ts";
import { ensureBaseContext } from "./base-image.ts";

/** What to build. */
export interface ImageSource {
  /** Full name with tag: `localhost/trainingrun/operator:dev`. */
  readonly tag: string;
  readonly dockerfile: string;
  /** The directory whose files the Dockerfile may copy. */
  readonly context: string;
  readonly buildArgs?: Readonly<Record<string, string>>;
}

/** A built image, ready to be imported into nodes. */
export interface Image {
  readonly tag: string;
  /** Names its contents: two builds of the same files give the same one. */
  readonly id: string;
  readonly archivePath: string;
}

/** The base of all other images here: node and a shell, from Debian's and npm's packages only. */
export const baseImage = "localhost/trainingrun/base:dev";

/** One static busybox, whose default command sleeps: for pods of tests, and what holds a pod's namespaces. */
export const busyboxImage = pauseImage;

/** Whom to tell about a build, and what ends it early. */
export type BuildOptions = Pick<LockOptions, "report" | "signal">;

const timeoutMs = 20 * 60_000;
const keptArchives = 4;
const scratchPrefix = "build-";

/** Builds the image that `images/base/Dockerfile` describes. */
export async function buildBaseImage(projectDirectory: string, options: BuildOptions): Promise<Image> {
  const dockerfile = join(projectDirectory, "images", "base", "Dockerfile");
  return buildImage({ tag: baseImage, dockerfile, context: await ensureBaseContext(options) }, options);
}

/** Builds {@link busyboxImage} from Debian's static busybox. */
export async function buildBusyboxImage(options: BuildOptions): Promise<Image> {
  const context = await mkdtemp(join(tmpdir(), "trainingrun-busybox-"));
  try {
    await copyFile("/bin/busybox", join(context, "busybox"));
    const dockerfile = join(context, "Dockerfile");
    const lines = [
      "FROM scratch",
      "COPY --chmod=0755 busybox /bin/busybox",
      'RUN ["/bin/busybox", "--install", "/bin"]',
      "RUN mkdir -m 1777 /tmp",
      'ENTRYPOINT ["/bin/sleep", "infinity"]',
    ];
    await writeFile(dockerfile, lines.join("\n"));
    return await buildImage({ tag: busyboxImage, dockerfile, context }, options);
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

/**
 * Builds an image with buildah, without a daemon and without asking any registry: `FROM` must name an image that was
 * built before. Layers whose files have not changed are taken from the cache, and an image is exported once.
 *
 * @throws {CommandFailed} with the end of the build's output.
 */
export function buildImage(source: ImageSource, options: BuildOptions): Promise<Image> {
  if (process.getuid?.() !== 0) throw new Error(`Cannot build ${source.tag}: buildah needs root here`);
  const directory = join(cacheDirectory(), "images");
  return withLock(directory, { timeoutMs, ...options }, async () => {
    await mkdir(directory, { recursive: true });
    // Nobody else builds now, so whatever unfinished work lies here was killed.
    await removeByPrefix(directory, scratchPrefix);
    const scratch = await mkdtemp(join(directory, scratchPrefix));
    const buildah = buildahIn(scratch, options.signal);
    try {
      const id = await build(source, { scratch, buildah });
      const prefix = `${source.tag.replaceAll(/[^\w.-]/g, "_")}-`;
      const archivePath = join(directory, `${prefix}${id}.tar`);
      if (!existsSync(archivePath)) {
        options.report(`Exporting ${source.tag}`);
        const unfinished = join(scratch, "image.tar");
        await buildah(["push", "--quiet", id, `docker-archive:${unfinished}:${source.tag}`]);
        await rename(unfinished, archivePath);
      }
      // The newest by use: another clone of the project may go back and forth between two.
      await utimes(archivePath, new Date(), new Date());
      await forgetOldArchives(directory, prefix);
      return { tag: source.tag, id, archivePath };
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
}

/** Keeps the newest archives of a tag: another clone of the project may be importing one that is not the newest. */
async function forgetOldArchives(directory: string, prefix: string): Promise<void> {
  const names = (await readdir(directory)).filter((name) => name.startsWith(prefix) && name.endsWith(".tar"));
  const archives = names.map((name) => ({
    path: join(directory, name),
    madeAt: statSync(join(directory, name)).mtimeMs,
  }));
  archives.sort((one, other) => other.madeAt - one.madeAt);
  for (const { path } of archives.slice(keptArchives)) await rm(path, { force: true });
}

type Buildah = (args: readonly string[]) => Promise<string>;

async function build(
  { tag, dockerfile, context, buildArgs = {} }: ImageSource,
  { scratch, buildah }: { scratch: string; buildah: Buildah },
): Promise<string> {
  const idFile = join(scratch, "id");
  const args = Object.entries(buildArgs).flatMap(([name, value]) => ["--build-arg", `${name}=${value}`]);
  const how = ["--isolation", "chroot", "--layers", "--pull-never", "--timestamp", "0", "--iidfile", idFile];
  await buildah(["bud", ...how, ...args, "-t", tag, "-f", dockerfile, context]);
  return (await readFile(idFile, "utf8")).trim().replace("sha256:", "");
}

/** Runs buildah in a mount namespace of its own, so that none of its mounts outlives it, whatever happens to it. */
function buildahIn(scratch: string, signal: AbortSignal | undefined): Buildah {
  const storage = ["--root", join(cacheDirectory(), "images", "storage"), "--runroot", join(scratch, "run")];
  const apart = ["--mount", "--propagation", "private", "--"];
  return (args) => run("unshare", [...apart, "buildah", ...storage, ...args], { timeoutMs, signal });
}
