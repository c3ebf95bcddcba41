/**
 * Interrupts each so many times, one at a time and in turn, so that whatever else the machine does meets all of them
 * alike. Each round begins with another one, so that nobody always follows the same neighbour. Seconds until each ran again.
 */
export async function inTurn<T>(
  all: readonly T[],
  { rounds, interrupt }: Readonly<{ rounds: number; interrupt: (one: T) => Promise<number> }>,
): Promise<ReadonlyMap<T, readonly number[]>> {
  const seconds = new Map<T, number[]>(all.map((one) => [one, []]));
  for (let round = 0; round < rounds; round += 1) {
    const first = round % all.length;
    for (const one of [...all.slice(first), ...all.slice(0, first)]) seconds.get(one)?.push(await interrupt(one));
  }
  return seconds;
}

/** Interruptions one after the other, and how many of those that were asked for nobody waited for. */
export type Lane = Readonly<{ seconds: readonly number[]; notWaitedFor: number }>;

/**
 * Interrupts one that may back off, until so many interruptions are made or the next one could take longer than what is
 * left of the time: it is taken to last twice as long as the one before.
 */
export async function whileItFits(
  { times, withinSeconds }: Readonly<{ times: number; withinSeconds: number }>,
  interrupt: () => Promise<number>,
): Promise<Lane> {
  const seconds: number[] = [];
  let spent = 0;
  while (seconds.length < times && spent + 2 * (seconds.at(-1) ?? 0) <= withinSeconds) {
    const took = await interrupt();
    spent += took;
    seconds.push(took);
  }
  return { seconds, notWaitedFor: times - seconds.length };
}

/** Does all of it beside each other. The first that fails ends the others, and is thrown when all of it is over. */
export async function beside(
  signal: AbortSignal,
  works: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  await Promise.all(works.map((work) => work(either).catch((error: unknown) => failure.abort(error))));
  failure.signal.throwIfAborted();
}
