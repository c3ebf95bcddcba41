import { writeFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

const pending = new Set<Promise<unknown>>();
let isListening = false;

/**
 * Until `work` has settled, no exit of this process waits for it. Node joins its threads when it exits, also one that waits
 * for a volume which does not answer, and would keep the device for as long. Whoever listens for the exit hears of it first.
 */
export function exitDespite(work: Promise<unknown>): void {
  pending.add(work);
  const settled = () => void pending.delete(work);
  work.then(settled, settled);
  // In another thread an exit ends no more than that thread.
  if (isListening || !isMainThread) return;
  isListening = true;
  process.on("exit", endIfHeldUp);
}

function endIfHeldUp(code: number): void {
  if (pending.size === 0) return;
  const listeners = process.listeners("exit");
  // Nothing is called after this, so what comes later is called here.
  for (const listener of listeners.slice(listeners.indexOf(endIfHeldUp) + 1)) {
    try {
      listener(code);
    } catch (error) {
      console.error(error);
    }
  }
  endAtOnce(code);
}

/**
 * Ends this process, whatever its threads are waiting for. The kernel gives the first process of a container no signal that
 * it sends itself, SIGKILL included, and nobody else may be there to send one; but whoever becomes another program loses
 * all threads, its memory and the device at once, and that program ends with the code. A call that not even a kill from
 * outside ends (state D) is beyond everybody.
 */
function endAtOnce(code: number): never {
  leaveNoCore();
  const { NODE_OPTIONS: _, ...environment } = process.env;
  try {
    process.execve?.(process.execPath, [process.execPath, "--eval", `process.exit(${code})`], environment);
  } catch (error) {
    console.error(error);
  }
  // Where no program may be started: libc ends this in a fault, which a first process is not spared.
  process.abort();
}

/** A fault's dump would hold all of a model's memory; this has the kernel write none of it, whatever the node's limits. */
function leaveNoCore(): void {
  try {
    writeFileSync("/proc/self/coredump_filter", "0");
  } catch {
    // Another kernel than Linux: it has no such file.
  }
}
