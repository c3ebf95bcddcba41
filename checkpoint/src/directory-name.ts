/** The name of a checkpoint's directory: a step and the attempt that saved it; unique, for an attempt saves a step once. */
export function directoryName(step: number, attempt: number): string {
  return `step-${String(step).padStart(12, "0")}-a${String(attempt).padStart(4, "0")}`;
}

/** Step and attempt of a complete checkpoint's directory, or null where the name is not of that form. */
export function parseDirectoryName(name: string): { step: number; attempt: number } | null {
  const [, step, attempt] = /^step-(\d{12,15})-a(\d{4,9})$/.exec(name) ?? [];
  if (step === undefined || attempt === undefined) return null;
  const parsed = { step: Number(step), attempt: Number(attempt) };
  return directoryName(parsed.step, parsed.attempt) === name && parsed.attempt > 0 ? parsed : null;
}

/** The attempt that was writing an unfinished directory, or null where the name is not of that form. */
export function parseSavingName(name: string): { attempt: number } | null {
  const attempt = /^\.saving-\d{1,15}-a(\d{1,9})-[0-9a-f]{1,64}$/.exec(name)?.[1];
  return attempt === undefined ? null : { attempt: Number(attempt) };
}

/**
 * A name for a complete checkpoint's directory, for the moment in which its own is given anew; `nonce`, of hex digits,
 * makes it nobody else's.
 */
export function settlingName(name: string, nonce: string): string {
  return `.settling-${nonce}-${name}`;
}

/** The checkpoint's name that a directory under such a name is to get, or null where it is under another. */
export function parseSettlingName(aside: string): string | null {
  const name = /^\.settling-[0-9a-f]{1,64}-(.+)$/.exec(aside)?.[1];
  return name !== undefined && parseDirectoryName(name) !== null ? name : null;
}

/** Where the workers of a gang bring what each has saved of a step; no reader looks for a checkpoint in it. */
export function shardsName({ step, attempt }: { step: number; attempt: number }): string {
  return `.shards-${step}-a${attempt}`;
}

/** Step and attempt of such a directory, or null where the name is not of that form. */
export function parseShardsName(name: string): { step: number; attempt: number } | null {
  const [, step, attempt] = /^\.shards-(\d{1,15})-a(\d{1,9})$/.exec(name) ?? [];
  return step === undefined || attempt === undefined ? null : { step: Number(step), attempt: Number(attempt) };
}

/** The directory of a checkpoint that holds one worker's shard. */
export function workerName(worker: number): string {
  return `w${String(worker).padStart(4, "0")}`;
}
