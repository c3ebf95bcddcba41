import { z } from "zod";
import { canonicalJson } from "../canonical-json.ts";
import { AttemptNumber, Digest, Epoch, Metrics, Step, Time } from "../contract/digest.ts";
import { algorithmOf, HashUnavailableError, hashBytes } from "../hash.ts";
import { limits } from "../limits.ts";
import { readCanonicalJson } from "../read-canonical-json.ts";
import { CarriedState, type Imported } from "./state.ts";

/** The version of records that this program writes, and the only one that it reads. */
export const recordVersion = 1;

const common = {
  version: z.literal(recordVersion),
  /** Unique per append: whoever finds its own id under a number knows that a lost reply was a success. */
  writer: z.string().min(1).max(63),
  attempt: AttemptNumber,
  time: Time,
};

/** An attempt takes the log: records of lower attempts count for nothing from here on. */
export const OpenRecord = z.object({
  ...common,
  kind: z.literal("open"),
  podUid: z.string().min(1).max(63),
  node: z.string().max(253),
  /** The checkpoint that was verified and is resumed from; null to begin at step 0. */
  base: Digest.nullable(),
  generation: z.int().min(0),
  /** The fold of all records below this one, and what its opener knew of its base from another tier. */
  state: CarriedState,
});

/** A checkpoint exists from here on. */
export const CommitRecord = z.object({
  ...common,
  kind: z.literal("commit"),
  step: Step,
  epoch: Epoch.optional(),
  manifest: Digest,
  directory: z.string().min(1).max(255),
  bytes: z.int().min(0),
  metrics: Metrics,
  unhealthy: z.boolean(),
});

/** Verification failed: it is no candidate any more, and its bytes stay as evidence. */
export const RefuseRecord = z.object({
  ...common,
  kind: z.literal("refuse"),
  manifest: Digest,
  reason: z.string().min(1).max(63),
  message: z.string().max(512),
  node: z.string().max(253),
});

/** Tombstone: won before a byte of these is removed. */
export const DeleteRecord = z.object({
  ...common,
  kind: z.literal("delete"),
  manifests: z.array(Digest).min(1).max(1024),
  why: z.string().max(512),
});

/** The run has finished; this is its final checkpoint. */
export const DoneRecord = z.object({ ...common, kind: z.literal("done"), manifest: Digest });

/** One record of a run's log. */
export const LogRecord = z.discriminatedUnion("kind", [
  OpenRecord,
  CommitRecord,
  RefuseRecord,
  DeleteRecord,
  DoneRecord,
]);
export type LogRecord = z.infer<typeof LogRecord>;

type Draft<R> = R extends unknown ? Omit<R, "version" | "writer" | "time"> & { writer?: string; time?: string } : never;

/** A record before it is appended: version, writer and time are filled in where absent. */
export type RecordDraft = Draft<Exclude<LogRecord, { kind: "open" }>>;

/**
 * An `open` before it is appended: what it carries is taken from the log, and where it says so from another tier's. `chosen`
 * says whether the user has named its base; absent, as in a renewal, it leaves what the log says of that.
 */
export type OpenDraft = Omit<Draft<Extract<LogRecord, { kind: "open" }>>, "state"> & {
  imported?: Imported;
  chosen?: boolean;
};

/** What stands under one number of the log. */
export type NumberedRecord =
  | Readonly<{ number: number; record: LogRecord }>
  | Readonly<{
      number: number;
      damaged: string;
      /** The highest attempt that announced an `open` under this number: it may be what was lost. */
      announced?: number;
      /** The device answered an error for it, which may pass; else its bytes are wrong, or it is not there. */
      unreadable?: boolean;
    }>;

/** A record of a later version: the log cannot be understood by this program, and must not be guessed at. */
export class UnknownRecordVersionError extends Error {
  override readonly name = "UnknownRecordVersionError";
}

/** The bytes of a record: canonical JSON with its own digest, so that damage shows. */
export function recordBytes(record: LogRecord): Uint8Array {
  const digest = hashBytes(textBytes(record));
  return textBytes({ ...record, digest });
}

/** Reads what stands under a number. Damage is a value: the fold lets such a record count for nothing. */
export function parseRecord(number: number, bytes: Uint8Array): NumberedRecord {
  if (bytes.byteLength > limits.recordBytes) return { number, damaged: `it has ${bytes.byteLength} bytes` };
  const raw = sealed(bytes);
  if (typeof raw === "string") return { number, damaged: raw };
  if (raw.version !== recordVersion && Number.isSafeInteger(raw.version)) {
    throw new UnknownRecordVersionError(
      `Cannot read log record ${number} because its version is ${raw.version} and this program reads ${recordVersion}: use a release that knows it`,
    );
  }
  const parsed = LogRecord.safeParse(raw);
  if (!parsed.success) return { number, damaged: z.prettifyError(parsed.error).slice(0, 300) };
  return { number, record: parsed.data };
}

const Sealed = z.looseObject({ digest: Digest });

/** The record's members once text and digest are found whole, else the damage in words. */
function sealed(bytes: Uint8Array): Record<string, unknown> | string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const read = readCanonicalJson(text);
    if (read === null) return "its text is not canonical";
    const { digest, ...raw } = Sealed.parse(read.value);
    return hashBytes(textBytes(raw), algorithmOf(digest)) === digest ? raw : "its digest does not match its text";
  } catch (error) {
    // Nothing is known about the record then, and nothing may be concluded.
    if (error instanceof HashUnavailableError) throw error;
    return `it is no sealed record: ${error instanceof Error ? error.message.slice(0, 200) : String(error)}`;
  }
}

function textBytes(value: object): Uint8Array {
  return new TextEncoder().encode(canonicalJson(value));
}
