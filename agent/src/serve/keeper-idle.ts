import { setTimeout as pause } from "node:timers/promises";

type Idle = Readonly<{
  /** Ends it for good. */
  signal: AbortSignal;
  /** Ends it because something else is more urgent. */
  leisure: AbortSignal;
  /** Asked again and again whether something else is to be done first. */
  isWanted: () => Promise<boolean>;
  everyMs?: number;
}>;

/** Does what can wait, and breaks it off as soon as something comes up that cannot: then its value is null. */
export async function whileIdle<T>(
  work: (signal: AbortSignal) => Promise<T>,
  { signal, leisure, isWanted, everyMs = 1_000 }: Idle,
): Promise<T | null> {
  const over = new AbortController();
  const wanted = new AbortController();
  const watch = async () => {
    while (!wanted.signal.aborted) {
      await pause(everyMs, undefined, { signal: over.signal });
      // What keeps it from being asked meets the work as well.
      if (await isWanted().catch(() => false)) wanted.abort();
    }
  };
  // It ends with an error whenever the work ends first.
  const watching = watch().catch(() => {});
  const urgent = AbortSignal.any([leisure, wanted.signal]);
  try {
    return await work(AbortSignal.any([signal, urgent]));
  } catch (error) {
    if (signal.aborted || !urgent.aborted) throw error;
    return null;
  } finally {
    over.abort();
    await watching;
  }
}
