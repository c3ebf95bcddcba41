import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Unavailable } from "../object-reader.ts";
import type { Projection, Volume } from "../pod/pod.ts";
import { type FileSources, projectedFiles, writeFiles } from "./volume-files.ts";

/** The directories that stand for a pod's volumes, by the volumes' names. */
export type VolumeDirectories = ReadonlyMap<string, string>;

/**
 * Makes the directory of every volume of a pod below `directory`, or finds it where the volume is one of this machine.
 * May be repeated; files are then written anew.
 *
 * @throws {Unavailable} for a volume that is not there yet or is of a kind that a process node cannot offer.
 */
export async function prepareVolumes(directory: string, from: FileSources): Promise<VolumeDirectories> {
  const prepared = from.pod.spec.volumes.map(async (volume): Promise<[string, string]> => {
    return [volume.name, await prepareVolume(volume, join(directory, volume.name), from)];
  });
  return new Map(await Promise.all(prepared));
}

/** When the tokens in a pod's volumes must be fetched again, in seconds; undefined for a pod without tokens. */
export function tokenRefreshSeconds(volumes: readonly Volume[]): number | undefined {
  const lifetimes = volumes
    .flatMap((volume) => volume.projected?.sources ?? [])
    .flatMap((source) => source.serviceAccountToken?.expirationSeconds ?? []);
  return lifetimes.length === 0 ? undefined : Math.min(...lifetimes) * 0.8;
}

async function prepareVolume(volume: Volume, directory: string, from: FileSources): Promise<string> {
  if (volume.persistentVolumeClaim !== undefined) {
    const { namespace } = from.pod.metadata;
    return made(await from.objects.claimDirectory(namespace, volume.persistentVolumeClaim.claimName));
  }
  if (volume.hostPath !== undefined) return made(volume.hostPath.path);
  if (volume.emptyDir !== undefined) return made(directory);
  const sources = fileSources(volume);
  if (sources === undefined) {
    throw new Unavailable(`Cannot mount volume "${volume.name}" because process nodes do not know its kind`);
  }
  const files = await Promise.all(sources.map((source) => projectedFiles(source, from)));
  await writeFiles(directory, files.flat());
  return directory;
}

function fileSources(volume: Volume): readonly Projection[] | undefined {
  if (volume.projected !== undefined) return volume.projected.sources;
  if (volume.configMap !== undefined) return [{ configMap: volume.configMap }];
  if (volume.secret !== undefined) return [{ secret: { ...volume.secret, name: volume.secret.secretName } }];
  if (volume.downwardAPI !== undefined) return [{ downwardAPI: volume.downwardAPI }];
  return undefined;
}

async function made(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  return directory;
}
