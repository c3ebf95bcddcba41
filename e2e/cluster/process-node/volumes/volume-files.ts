import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Contents, type ObjectReader, Unavailable } from "../object-reader.ts";
import { fieldValue, type PodPlace, resourceValue } from "../pod/downward.ts";
import type { Pod, Projection } from "../pod/pod.ts";

/** Where the files of a volume come from. */
export interface FileSources {
  readonly pod: Pod;
  readonly place: PodPlace;
  readonly objects: ObjectReader;
}

/** A file in a volume. */
export interface VolumeFile {
  readonly path: string;
  readonly content: Buffer | string;
}

/**
 * The files of one source of a projected volume; the other volumes of files are projected volumes of one source.
 *
 * @throws {Unavailable} when something that is not optional is missing.
 */
export async function projectedFiles(source: Projection, from: FileSources): Promise<VolumeFile[]> {
  const { pod, objects } = from;
  const { namespace, name, uid } = pod.metadata;
  if (source.configMap !== undefined) {
    return chosenFiles(await objects.configMap(namespace, source.configMap.name), "configmap", source.configMap);
  }
  if (source.secret !== undefined) {
    return chosenFiles(await objects.secret(namespace, source.secret.name), "secret", source.secret);
  }
  if (source.serviceAccountToken !== undefined) {
    const { path, audience, expirationSeconds } = source.serviceAccountToken;
    const serviceAccount = pod.spec.serviceAccountName;
    const request = { namespace, serviceAccount, pod: { name, uid }, audience, expirationSeconds };
    return [{ path, content: await objects.serviceAccountToken(request) }];
  }
  return (source.downwardAPI?.items ?? []).map((item) => ({ path: item.path, content: downwardContent(item, from) }));
}

/** Writes files below a directory; who reads one meanwhile sees the old or the new one, whole. */
export async function writeFiles(directory: string, files: readonly VolumeFile[]): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const { path, content } of files) {
    const target = join(directory, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(`${target}.new`, content);
    await rename(`${target}.new`, target);
  }
}

function chosenFiles(
  contents: Contents | undefined,
  kind: string,
  choice: { name: string; optional: boolean; items?: { key: string; path: string }[] | undefined },
): VolumeFile[] {
  if (contents === undefined) {
    if (choice.optional) return [];
    throw new Unavailable(`${kind} "${choice.name}" not found`);
  }
  const items = choice.items ?? [...contents.keys()].map((key) => ({ key, path: key }));
  return items.flatMap(({ key, path }) => {
    const content = contents.get(key);
    if (content === undefined && !choice.optional) {
      throw new Unavailable(`${kind} "${choice.name}" references non-existent key: ${key}`);
    }
    return content === undefined ? [] : [{ path, content }];
  });
}

function downwardContent(
  item: NonNullable<Projection["downwardAPI"]>["items"][number],
  { pod, place }: FileSources,
): string {
  if (item.fieldRef !== undefined) return fieldValue(item.fieldRef.fieldPath, pod, place);
  if (item.resourceFieldRef === undefined) return "";
  const { containerName } = item.resourceFieldRef;
  const all = [...pod.spec.initContainers, ...pod.spec.containers];
  return resourceValue(
    item.resourceFieldRef,
    all.find(({ name }) => name === containerName),
    place,
  );
}
