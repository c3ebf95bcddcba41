/** The program of the thread that writes checkpoints; `writerThread` starts it. The training thread has opened the store. */
import { type MessagePort, workerData } from "node:worker_threads";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { SnapshotWriter } from "./snapshot-writer.ts";

/** What the thread is given. */
export type WriterThreadData = { readonly port: MessagePort; readonly root: string; readonly runUid: string };

const { port, root, runUid }: WriterThreadData = workerData;
new SnapshotWriter(port, new DirectoryStore(root, runUid));
