import { Processes, type Program } from "./processes.ts";
import type { SharedDisk } from "./shared-disk.ts";

/** What was visited, and the first moment that is wrong with how it came about. */
export type Explored = Readonly<{
  states: number;
  ends: number;
  failure: string | null;
  /** All that any process ever told. */
  told: ReadonlySet<string>;
}>;

/**
 * Plays the programs in every order of their acts that leads anywhere new. An order is played from the start each time:
 * real code cannot be copied while it runs. Throws where there are more moments than `maxStates`.
 */
export async function exploreOrders(
  disk: SharedDisk,
  programs: readonly Program[],
  { whatIsWrong, maxStates }: { whatIsWrong: (moment: Processes) => Promise<string | null>; maxStates: number },
): Promise<Explored> {
  const visited = new Set<string>();
  const told = new Set<string>();
  const pending: number[][] = [[]];
  let ends = 0;
  for (let order = pending.pop(); order !== undefined; order = pending.pop()) {
    const processes = new Processes(disk, programs);
    await processes.settle();
    const acts: string[] = [];
    for (const index of order) acts.push(await processes.step(index));
    const path = [...order];
    while (!visited.has(processes.key)) {
      visited.add(processes.key);
      if (visited.size > maxStates) throw new Error(`Cannot explore because there are over ${maxStates} states`);
      for (const words of processes.told) if (words !== null) told.add(words);
      const problem = await whatIsWrong(processes);
      if (problem !== null) return { states: visited.size, ends, failure: `${problem} (${acts.join("; ")})`, told };
      const [first, ...others] = processes.ready;
      if (first === undefined) {
        ends += 1;
        break;
      }
      for (const other of others) pending.push([...path, other]);
      path.push(first);
      acts.push(await processes.step(first));
    }
  }
  return { states: visited.size, ends, failure: null, told };
}

/** Plays the programs one after the other and returns the disk that they leave. */
export async function playInTurn(disk: SharedDisk, programs: readonly Program[]): Promise<SharedDisk> {
  let left = disk;
  for (const program of programs) {
    const processes = new Processes(left, [program]);
    await processes.settle();
    for (let [next] = processes.ready; next !== undefined; [next] = processes.ready) await processes.step(next);
    const [words] = processes.told;
    if (words == null || words.startsWith("failed")) throw new Error(`Cannot prepare because ${program.name} ${words}`);
    left = processes.disk;
  }
  return left;
}
