import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { FromWriter, SaveJob, SaveOutcome, ToWriter } from "./protocol.ts";
import type { StartWriter } from "./start-writer.ts";

/** Memory to fill with values for the writer. */
export type Slab = { readonly index: number; readonly bytes: Uint8Array };

/**
 * The training thread's end of the line to a writer: hands out empty slabs, sends filled ones, and waits for the outcome
 * of the one save that is going on. A writer that is gone stays gone: the next save takes another link.
 */
export class WriterLink {
  readonly #port: MessagePort;
  readonly #stopWriter: () => Promise<void>;
  readonly #onSlab: () => void;
  readonly #slabs = new Map<number, Slab>();
  readonly #empty: Slab[] = [];
  readonly #sent = new Map<number, number>();
  #writtenBytes = 0;
  #gone: string | null = null;
  #ended: ((outcome: SaveOutcome) => void) | null = null;

  /** `onSlab` is told whenever there is a slab to fill. */
  constructor(start: StartWriter, { onSlab }: { onSlab: () => void }) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#onSlab = onSlab;
    port1.on("message", (message: FromWriter) => this.#heed(message));
    port1.unref();
    this.#stopWriter = start(port2, (why) => this.#lose(why));
  }

  /** Whether there is still a writer at the other end. */
  get isUp(): boolean {
    return this.#gone === null;
  }

  /** What the writer has taken out of slabs during the present save. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Whether the writer is through with all that was sent to it. */
  get isIdle(): boolean {
    return this.#sent.size === 0;
  }

  /** Has the writer make slabs, up to so many in all. */
  prepare(slabs: number): void {
    this.#tell({ kind: "prepare", slabs });
  }

  /** Hands a job over; the values follow in slabs. Resolves however it ends, and never rejects. */
  save(job: SaveJob): Promise<SaveOutcome> {
    if (this.#ended !== null) throw new Error(`Cannot hand step ${job.step} over because another save is going on.`);
    if (this.#gone !== null) return Promise.resolve(this.#failed(this.#gone));
    this.#writtenBytes = 0;
    // An unsettled promise keeps no process alive; the open line does.
    this.#port.ref();
    const outcome = new Promise<SaveOutcome>((resolve) => {
      this.#ended = resolve;
    });
    this.#tell({ kind: "save", job });
    return outcome;
  }

  /** Ends the present save early; its outcome follows. */
  abandon(why: string): void {
    this.#tell({ kind: "abandon", why });
  }

  /** An empty slab, or null while the writer has all of them. */
  take(): Slab | null {
    return this.#empty.pop() ?? null;
  }

  /** Sends a slab's first bytes. */
  send({ index }: Slab, bytes: number): void {
    this.#sent.set(index, bytes);
    this.#tell({ kind: "filled", slab: index, bytes });
  }

  /** Puts a slab back that was not sent. */
  putBack(slab: Slab): void {
    this.#empty.push(slab);
  }

  /** The present save keeps the process alive no longer. */
  letProcessEnd(): void {
    this.#port.unref();
  }

  /** Ends the writer, whatever it is doing. */
  async close(): Promise<void> {
    this.#lose("it was closed");
    await this.#stopWriter();
  }

  #heed(message: FromWriter): void {
    if (message.kind === "slab") this.#adopt(message.slab, new Uint8Array(message.memory));
    else if (message.kind === "emptied") this.#reclaim(message.slab);
    else this.#end(message.outcome);
  }

  #adopt(index: number, bytes: Uint8Array): void {
    const slab = { index, bytes };
    this.#slabs.set(index, slab);
    this.#offer(slab);
  }

  #reclaim(index: number): void {
    this.#writtenBytes += this.#sent.get(index) ?? 0;
    this.#sent.delete(index);
    const slab = this.#slabs.get(index);
    if (slab !== undefined) this.#offer(slab);
  }

  #offer(slab: Slab): void {
    this.#empty.push(slab);
    this.#onSlab();
  }

  #lose(why: string): void {
    if (this.#gone !== null) return;
    this.#gone = why;
    this.#empty.length = 0;
    this.#end(this.#failed(why));
    this.#port.close();
  }

  #end(outcome: SaveOutcome): void {
    const ended = this.#ended;
    this.#ended = null;
    this.#port.unref();
    ended?.(outcome);
  }

  #failed(why: string): SaveOutcome {
    return { kind: "failed", message: `Cannot save because the thread that writes checkpoints is gone: ${why}` };
  }

  #tell(message: ToWriter): void {
    this.#port.postMessage(message);
  }
}
