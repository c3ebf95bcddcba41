import { join, resolve } from "node:path";
import type { Report } from "../build/binaries.ts";
import { loadImages } from "../cluster.ts";
import type { ClusterState, Way } from "../cluster-state.ts";
import { run } from "../processes/command.ts";
import { buildBaseImage, buildImage, type ImageSource } from "./images.ts";

/** The project's own images, in the order in which they are built. */
export const projectImages = ["operator", "agent", "trainer"] as const;

/** One of {@link projectImages}. */
export type ProjectImageName = (typeof projectImages)[number];

/** The project's directory, from which everything is built. */
export const projectDirectory = resolve(import.meta.dirname, "..", "..", "..");

/** The tag of a project image on local clusters. */
export function projectImageTag(name: ProjectImageName): string {
  return `localhost/trainingrun/${name}:dev`;
}

/** Builds images from the bundles that {@link bundleProjectImages} wrote and gives them to every node of a running cluster. */
export async function loadProjectImages(state: ClusterState, options: ProjectImageOptions): Promise<void> {
  if (state.way === "processes" || state.way === "given") return;
  await loadImages(state, await prepare(state.way, options), options);
}

/** Builds images from those bundles, with no cluster. Needs root. */
export async function buildProjectImages(options: ProjectImageOptions): Promise<void> {
  for (const source of await prepare("containers", options)) {
    options.report(`Building ${source.tag}`);
    const { id, archivePath } = await buildImage(source, options);
    options.report(`  ${id.slice(0, 12)} in ${archivePath}`);
  }
}

/** Which images to build, and whom to tell. */
export interface ProjectImageOptions {
  readonly report: Report;
  /** Ends what takes long. */
  readonly signal?: AbortSignal;
  /** Default: all. */
  readonly names?: readonly ProjectImageName[];
  /** More build arguments by image. */
  readonly buildArgs?: Readonly<Partial<Record<ProjectImageName, Readonly<Record<string, string>>>>>;
  /** More arguments of a bundle's program, such as the trainer's `--native`. */
  readonly bundleArgs?: Readonly<Partial<Record<ProjectImageName, readonly string[]>>>;
}

/** Writes the bundles that the images hold, and that process nodes run where they lie, into `.build/images/`. */
export async function bundleProjectImages(options: ProjectImageOptions): Promise<void> {
  for (const name of options.names ?? projectImages) {
    options.report(`Bundling the ${name}`);
    const program = join(projectDirectory, name, "build.ts");
    await run(process.execPath, [program, ...(options.bundleArgs?.[name] ?? [])], {
      timeoutMs: 10 * 60_000,
      signal: options.signal,
    });
  }
}

async function prepare(way: Way, options: ProjectImageOptions): Promise<ImageSource[]> {
  const names = options.names ?? projectImages;
  // Docker gets its base from where the Dockerfiles say; without Docker there is only the one made here.
  // By id, not by tag: another clone of the project may give the tag to its own base meanwhile.
  const base = way === "containers" ? { BASE_IMAGE: (await buildBaseImage(projectDirectory, options)).id } : {};
  return names.map((name) => ({
    tag: projectImageTag(name),
    dockerfile: join(projectDirectory, "images", name, "Dockerfile"),
    context: projectDirectory,
    buildArgs: { ...base, BUNDLE: "prebuilt", ...options.buildArgs?.[name] },
  }));
}
