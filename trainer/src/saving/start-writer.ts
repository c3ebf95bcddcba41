import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type MessagePort, Worker } from "node:worker_threads";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { say } from "../say.ts";
import { SnapshotWriter } from "./snapshot-writer.ts";
import type { WriterThreadData } from "./writer-thread.ts";

/** Starts a writer on the other end of `port`; `gone` hears why it has ended unasked. What is returned ends it. */
export type StartWriter = (port: MessagePort, gone: (why: string) => void) => () => Promise<void>;

/** In a bundle the thread's program is a file of its own beside the others. */
const program = new URL(
  import.meta.filename.endsWith(".ts") ? "writer-thread.ts" : "writer-thread.mjs",
  import.meta.url,
);

/** A run's directory on a volume, which the training thread has opened already. */
type Volume = { readonly root: string; readonly runUid: string };

/**
 * Writes in a thread of its own, so that hashing and the volume hold no step up. A bundle that was made without the
 * thread's program writes in the training thread, and says so.
 */
export function writerThread(volume: Volume): StartWriter {
  if (existsSync(fileURLToPath(program))) return (port, gone) => startThread({ volume, port, gone });
  say(
    `checkpoints are hashed and written in the training thread, which slows steps down: ${fileURLToPath(program)} is ` +
      "missing. Make trainer/src/saving/writer-thread.ts an entry point of the bundle.",
  );
  return writerHere(new DirectoryStore(volume.root, volume.runUid));
}

/** Writes in the thread that trains: each piece of it holds a step up. */
export function writerHere(store: Store): StartWriter {
  return (port) => {
    new SnapshotWriter(port, store);
    // Whoever waits for an outcome keeps the process alive by the other end.
    port.unref();
    return async () => undefined;
  };
}

function startThread({
  volume,
  port,
  gone,
}: {
  volume: Volume;
  port: MessagePort;
  gone: (why: string) => void;
}): () => Promise<void> {
  const workerData: WriterThreadData = { port, ...volume };
  // Flags of the script's own process, such as those of a debugger or a test runner, are not for this thread.
  const worker = new Worker(program, { name: "checkpoints", workerData, transferList: [port], execArgv: [] });
  worker.unref();
  let why = "it ended";
  worker.on("error", (error) => {
    why = `it broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  });
  worker.on("exit", () => gone(why));
  return async () => void (await worker.terminate());
}
