import type { AgentEnvironment, ObjectStoreSettings } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { type DirectoryStore, openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import type { ObjectStore, ObjectStoreOptions } from "@trainingrun/checkpoint/store/object/object-store.ts";

/** Opens the run's directory on the volume, and proves that it can be used. */
export function openVolume(environment: AgentEnvironment): Promise<DirectoryStore> {
  return openDirectoryStore(environment.TRAININGRUN_CHECKPOINTS, { runUid: environment.TRAININGRUN_UID });
}

/** Whose objects, where, and where the keys to them are. */
export type ObjectStorePlace = Readonly<{
  TRAININGRUN_UID: string;
  TRAININGRUN_OBJECT_STORE: ObjectStoreSettings;
  TRAININGRUN_CREDENTIALS: string;
}>;

/** Opens the run's part of the object store, and asks what it can do. `signal` ends every request of it. */
export async function openObjectStore(place: ObjectStorePlace, signal: AbortSignal): Promise<ObjectStore> {
  // Loaded only where it is used: a run without an object store does not wait for its client to load.
  const { openObjectStore } = await import("@trainingrun/checkpoint/store/object/object-store.ts");
  return openObjectStore(objectStoreOptions(place, signal));
}

/** Opens a run's part of an object store, this one's or another's, to be read alone. `signal` ends every request of it. */
export async function readOnlyObjectStore(place: ObjectStorePlace, signal: AbortSignal): Promise<ObjectStore> {
  const { readObjectStore } = await import("@trainingrun/checkpoint/store/object/object-store.ts");
  return readObjectStore(objectStoreOptions(place, signal));
}

/** Removes all objects of the run. */
export async function removeObjects(place: ObjectStorePlace, signal: AbortSignal): Promise<void> {
  const { removeRunObjects } = await import("@trainingrun/checkpoint/store/object/object-store.ts");
  await removeRunObjects(objectStoreOptions(place, signal));
}

function objectStoreOptions(place: ObjectStorePlace, signal: AbortSignal): ObjectStoreOptions {
  const { TRAININGRUN_UID: runUid, TRAININGRUN_CREDENTIALS: credentials } = place;
  const { endpoint, bucket, prefix, region } = place.TRAININGRUN_OBJECT_STORE;
  return { endpoint, bucket, prefix, ...(region !== null && { region }), credentials, runUid, signal };
}
