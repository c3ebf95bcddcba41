import { createHash } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** Something that one process of this machine holds and no other can: until it lets go or ends, however it ends. */
export interface Hold {
  release(): void;
}

/** How long to wait for a lock, and whom to tell about the wait. */
export interface LockOptions {
  readonly timeoutMs: number;
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A lock was held by another process for as long as we were ready to wait. */
export class LockTimeout extends Error {
  override readonly name = "LockTimeout";
}

/**
 * Takes what a name stands for; undefined when somebody holds it.
 *
 * A hold is a listening socket, so the kernel decides who has it and takes it back when its holder is killed: there is
 * no file that a crash leaves behind and that two others could take over at once. On Linux the address is the name
 * itself, elsewhere a port of loopback that follows from it.
 */
export function tryHold(name: string): Promise<Hold | undefined> {
  const waiting = new Set<Socket>();
  const server = createServer((socket) => {
    // Whoever connects waits for the connection to end, and is told for whom.
    waiting.add(socket.unref());
    socket.on("error", () => {}).on("close", () => waiting.delete(socket));
    socket.write(String(process.pid));
  });
  const release = () => {
    server.close();
    for (const socket of waiting) socket.destroy();
  };
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      if ("code" in error && error.code === "EADDRINUSE") resolve(undefined);
      else reject(new Error(`Cannot lock ${name}: ${error.message}`, { cause: error }));
    });
    server.listen(addressOf(name), () => resolve({ release }));
    server.unref();
  });
}

/**
 * Does `work` while no other process of this machine does work under the same name.
 *
 * @throws {LockTimeout} when another still does after `timeoutMs`.
 */
export async function withLock<Result>(
  name: string,
  options: LockOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  const hold = await waitForHold(name, options);
  try {
    return await work();
  } finally {
    hold.release();
  }
}

async function waitForHold(name: string, { timeoutMs, report, signal }: LockOptions): Promise<Hold> {
  const limit = AbortSignal.timeout(timeoutMs);
  const either = signal === undefined ? limit : AbortSignal.any([limit, signal]);
  let holder = "another process";
  for (;;) {
    signal?.throwIfAborted();
    const hold = await tryHold(name);
    if (hold !== undefined) return hold;
    if (limit.aborted) throw new LockTimeout(`Cannot lock ${name}: ${holder} has held it for ${timeoutMs / 1000} s`);
    await untilReleased(name, either, (pid) => {
      if (holder !== `process ${pid}`) report(`Waiting for process ${pid}, which holds ${name}`);
      holder = `process ${pid}`;
    });
    // A holder that ended between our two questions is not connected to: not so fast then.
    await delay(20);
  }
}

/** Returns when the connection to the holder ends, because it lets go or ended itself, or when the signal comes. */
function untilReleased(name: string, signal: AbortSignal, onHolder: (pid: string) => void): Promise<void> {
  const socket = connect(addressOf(name)).setEncoding("utf8").on("data", onHolder);
  const stop = () => socket.destroy();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  return new Promise((resolve) => {
    socket
      .on("error", () => {})
      .once("close", () => {
        signal.removeEventListener("abort", stop);
        resolve();
      });
  });
}

function addressOf(name: string): { path: string } | { host: string; port: number } {
  const hash = createHash("sha256").update(name).digest();
  // Names that begin with a zero byte are in no file system.
  if (process.platform === "linux") return { path: `\0trainingrun-${hash.toString("hex").slice(0, 32)}` };
  return { host: "127.0.0.1", port: 20_000 + (hash.readUInt32BE() % 10_000) };
}
