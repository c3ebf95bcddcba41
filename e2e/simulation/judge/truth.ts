import type { LogRecord } from "@trainingrun/checkpoint/log/record.ts";

/** A checkpoint that counts, by the judge's own reading. */
export type Known = Readonly<{ digest: string; step: number; attempt: number; directory: string }>;

/** What a record did: why it counts for nothing, or else what became of checkpoints by it. */
export type Outcome = Readonly<{
  number: number;
  void: string | null;
  /** With when each was refused. */
  deleted: readonly (Known & Readonly<{ refusedAtMs: number | null }>)[];
  /** By an `open`: what it could have resumed from that is newer than its base. */
  passedOver: readonly Known[];
}>;

type Opened = Readonly<{ attempt: number; podUid: string; base: string | null; number: number }>;
type Entry = Readonly<{ number: number; record: LogRecord; atMs: number }>;

/**
 * What a store's log says, from every record that was ever created in it. It is a second reading of the rules of the log,
 * on purpose: the product's own fold may be what is broken, and it may forget what is pruned; this one does neither.
 */
export class LogTruth {
  opened: Opened | null = null;
  done: string | null = null;
  last = 0;
  /** What counts and was not deleted. */
  readonly checkpoints = new Map<string, Known>();
  readonly refused = new Map<string, number>();
  /** Directories with a tombstone in force. */
  readonly deleted = new Set<string>();
  /** Digests that counted at any time. */
  readonly everCounted = new Set<string>();
  /** Who opened an attempt with an `open` that counted. */
  readonly openers = new Map<number, Set<string>>();
  outcome: Outcome = { number: 0, void: null, deleted: [], passedOver: [] };
  /** A record was damaged: what counts is known again at the next `open`. */
  isDoubtful = false;
  readonly #links = new Map<number, Known | null>();
  #entries: Entry[] = [];

  /** Takes in a record that was created. */
  take(entry: Entry): void {
    if (entry.number <= this.last) {
      const reason = "it lies below what readers look at";
      this.outcome = { number: entry.number, void: reason, deleted: [], passedOver: [] };
      return;
    }
    this.#entries.push(entry);
    this.#fold(entry);
  }

  /** Takes records out that the disk has lost; those that were only pruned count as before. */
  lose(numbers: readonly number[], why: "Pruned" | "Cut" | "Damaged"): void {
    if (why === "Pruned") return;
    if (why === "Damaged") {
      this.isDoubtful = true;
      return;
    }
    const kept = this.#entries.filter(({ number }) => !numbers.includes(number));
    this.#entries = kept;
    this.#clear();
    for (const entry of kept) this.#fold(entry);
  }

  /** The checkpoints of the present history, newest first. */
  lineage(): Known[] {
    const found: Known[] = [];
    let attempt = this.opened?.attempt;
    let highest = Number.POSITIVE_INFINITY;
    const passed = new Set<number>();
    while (attempt !== undefined && !passed.has(attempt)) {
      passed.add(attempt);
      const own = [...this.checkpoints.values()].filter((known) => known.attempt === attempt && known.step <= highest);
      found.push(...own.sort((a, b) => b.step - a.step));
      const base = this.#links.get(attempt);
      highest = base?.step ?? 0;
      attempt = base?.attempt;
    }
    return found;
  }

  /** The checkpoint that an attempt opened on; null where it began at step 0, undefined where it never opened. */
  baseOf(attempt: number): string | null | undefined {
    const link = this.#links.get(attempt);
    return link === undefined ? undefined : (link?.digest ?? null);
  }

  #clear(): void {
    this.opened = null;
    this.done = null;
    this.last = 0;
    const { checkpoints, refused, deleted, everCounted, openers } = this;
    for (const each of [checkpoints, refused, deleted, everCounted, openers, this.#links]) each.clear();
  }

  #fold({ number, record, atMs }: Entry): void {
    const reason = this.#voidReason(record);
    this.last = number;
    const deleted = reason === null && record.kind === "delete" ? this.#targets(record.manifests) : [];
    const passedOver = reason === null && record.kind === "open" ? this.#newerThan(record) : [];
    this.outcome = { number, void: reason, deleted, passedOver };
    if (reason === null) this.#apply({ number, record, atMs });
  }

  #targets(digests: readonly string[]): Outcome["deleted"] {
    return digests.flatMap((digest) => {
      const known = this.checkpoints.get(digest);
      return known === undefined ? [] : [{ ...known, refusedAtMs: this.refused.get(digest) ?? null }];
    });
  }

  #newerThan({ base, state }: Extract<LogRecord, { kind: "open" }>): Known[] {
    const step = state.checkpoints.find(({ digest }) => digest === base)?.step ?? -1;
    return this.lineage().filter((known) => known.step > step && !this.refused.has(known.digest));
  }

  #voidReason(record: LogRecord): string | null {
    const { opened } = this;
    if (opened !== null && record.attempt < opened.attempt) return `attempt ${opened.attempt} has opened`;
    if (record.kind === "open") return this.#voidOpen(record);
    if (opened === null) return "nobody has opened";
    if (record.attempt > opened.attempt && record.kind !== "refuse") return `attempt ${record.attempt} is not open`;
    switch (record.kind) {
      case "commit":
        return this.#voidCommit(record);
      case "delete":
        return record.manifests.every((digest) => this.#mayBeDeleted(digest)) ? null : "one of them must stay";
      case "refuse":
        return this.#isUsable(record.manifest) ? null : "it is none, or refused";
      case "done":
        return this.#isUsable(record.manifest) ? null : "it is none, or refused";
      default:
        return record satisfies never;
    }
  }

  #voidOpen(record: Extract<LogRecord, { kind: "open" }>): string | null {
    const { opened } = this;
    if (opened?.attempt === record.attempt) {
      if (opened.podUid !== record.podUid) return `pod ${opened.podUid} has opened it`;
      if (this.done !== null) return "the run is done";
      const isBuiltOn = [...this.checkpoints.values()].some(({ attempt }) => attempt === record.attempt);
      if (record.base !== opened.base && isBuiltOn) return "its base is built on";
    }
    if (record.base === null) return null;
    const isCarried = record.state.checkpoints.some(({ digest }) => digest === record.base);
    const isRefused = record.state.refused.some(({ digest }) => digest === record.base);
    return isCarried && !isRefused ? null : "its base is none, or refused";
  }

  #voidCommit(record: Extract<LogRecord, { kind: "commit" }>): string | null {
    const base = this.#links.get(record.attempt);
    if (record.step < (base?.step ?? 0)) return "it is below its base";
    const isTaken = [...this.checkpoints.values()].some(({ directory }) => directory === record.directory);
    if (isTaken || this.deleted.has(record.directory)) return "its directory is taken";
    return this.checkpoints.has(record.manifest) ? "it is committed" : null;
  }

  #mayBeDeleted(digest: string): boolean {
    return this.checkpoints.has(digest) && digest !== this.opened?.base && digest !== this.done;
  }

  #isUsable(digest: string): boolean {
    return this.checkpoints.has(digest) && !this.refused.has(digest);
  }

  #apply({ number, record, atMs }: Entry): void {
    switch (record.kind) {
      case "open":
        this.#open(record, number);
        return;
      case "commit": {
        const { manifest: digest, step, attempt, directory } = record;
        this.#count({ digest, step, attempt, directory });
        return;
      }
      case "refuse":
        this.refused.set(record.manifest, atMs);
        return;
      case "delete":
        for (const digest of record.manifests) this.#delete(digest);
        return;
      case "done":
        this.done = record.manifest;
        return;
      default:
        record satisfies never;
    }
  }

  #open({ attempt, podUid, base, state }: Extract<LogRecord, { kind: "open" }>, number: number): void {
    if (this.isDoubtful) this.checkpoints.clear();
    for (const ref of state.checkpoints) {
      if (this.isDoubtful || ref.digest === base) this.#count(ref);
    }
    for (const link of state.attempts) {
      if (this.#links.has(link.attempt)) continue;
      this.#links.set(link.attempt, link.base === null ? null : { ...link.base, directory: "" });
    }
    this.isDoubtful = false;
    this.#links.set(attempt, base === null ? null : (this.checkpoints.get(base) ?? null));
    this.deleted.clear();
    this.done = null;
    this.opened = { attempt, podUid, base, number };
    const openers = this.openers.get(attempt) ?? new Set();
    this.openers.set(attempt, openers.add(podUid));
  }

  #count({ digest, step, attempt, directory }: Known): void {
    this.checkpoints.set(digest, { digest, step, attempt, directory });
    this.everCounted.add(digest);
  }

  #delete(digest: string): void {
    const known = this.checkpoints.get(digest);
    if (known === undefined) return;
    this.checkpoints.delete(digest);
    this.refused.delete(digest);
    this.deleted.add(known.directory);
  }
}
