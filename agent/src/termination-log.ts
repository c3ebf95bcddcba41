import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import type { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { fitRecord } from "./record-size.ts";

/**
 * The agent's termination log. It is rewritten whenever the record changes, not only at the end, so that an agent
 * that is killed without a signal has still said what it knew.
 */
export class TerminationLog {
  readonly #path: string;
  #written = "";

  constructor(path: string) {
    this.#path = path;
  }

  /** Replaces the record. A log that cannot be written is told on stderr and stops nothing. */
  write(record: AgentRecord): void {
    this.writeText(fitRecord(record));
  }

  /** Replaces the content by plain words, for an end that has no record. */
  writeText(text: string): void {
    if (text === this.#written) return;
    try {
      this.#replace(text);
      this.#written = text;
    } catch (error) {
      console.error(`Cannot write the termination log ${this.#path}, which would have said: ${text}`, error);
    }
  }

  /** The file is a mount of the kubelet's, so it cannot be renamed into place. */
  #replace(text: string): void {
    const bytes = Buffer.from(text);
    // One write covers all of the older text: a kill between the calls leaves valid JSON followed by spaces.
    const padded = Buffer.alloc(Math.max(bytes.length, Buffer.byteLength(this.#written)), " ");
    bytes.copy(padded);
    const file = openSync(this.#path, this.#written === "" ? "w" : "r+", 0o644);
    try {
      writeSync(file, padded, 0, padded.length, 0);
      ftruncateSync(file, bytes.length);
    } finally {
      closeSync(file);
    }
  }
}
