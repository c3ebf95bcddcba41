import { StorageUnavailableError, type Store } from "./store/store.ts";

/**
 * Removes a name; says why it stays where the device does not let go of it, for that must not keep its caller from the
 * other names, nor a volume that is away, which shows in what is asked next. A bucket that fails throws: it would fail for
 * each name anew, after long patience.
 */
export async function letGo(store: Store, name: string): Promise<StorageUnavailableError | null> {
  try {
    await store.remove(name);
    return null;
  } catch (error) {
    if (!(error instanceof StorageUnavailableError) || store.tier !== "Volume") throw error;
    return error;
  }
}
