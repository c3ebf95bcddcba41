import type { Digest } from "../src/contract/digest.ts";
import { directoryName } from "../src/directory-name.ts";
import { carry, fold } from "../src/log/fold.ts";
import type { LogRecord, NumberedRecord } from "../src/log/record.ts";
import type { RunState } from "../src/log/state.ts";

const common = { version: 1, writer: "w", time: "2026-01-01T00:00:00.000Z" } as const;

/** The digest of the only checkpoint of that step and attempt. */
export function digestOf(step: number, attempt: number): Digest {
  return `blake3:${attempt.toString(16).padStart(4, "0")}${step.toString(16).padStart(60, "0")}`;
}

/** A log in words: each method appends one record; an `open` carries the fold below it, as writers do. */
export class LogBuilder {
  readonly records: NumberedRecord[] = [];

  get state(): RunState {
    return fold(this.records);
  }

  open(attempt: number, base: Digest | null = null, podUid = `pod-${attempt}`): this {
    const state = carry(this.state);
    return this.append({ ...common, kind: "open", attempt, podUid, node: "n", base, generation: 1, state });
  }

  commit(attempt: number, step: number, more: { loss?: string; bytes?: number; unhealthy?: boolean } = {}): this {
    const { loss = String(1 / step), bytes = 100, unhealthy = false } = more;
    const place = { manifest: digestOf(step, attempt), directory: directoryName(step, attempt) };
    const metrics = [{ name: "loss", value: loss }];
    return this.append({ ...common, kind: "commit", attempt, step, ...place, bytes, metrics, unhealthy });
  }

  refuse(attempt: number, manifest: Digest): this {
    return this.append({
      ...common,
      kind: "refuse",
      attempt,
      manifest,
      reason: "BytesDiffer",
      message: "m",
      node: "n",
    });
  }

  delete(attempt: number, ...manifests: Digest[]): this {
    return this.append({ ...common, kind: "delete", attempt, manifests, why: "w" });
  }

  done(attempt: number, manifest: Digest): this {
    return this.append({ ...common, kind: "done", attempt, manifest });
  }

  append(record: LogRecord): this {
    this.records.push({ number: this.records.length + 1, record });
    return this;
  }
}

export function log(): LogBuilder {
  return new LogBuilder();
}
