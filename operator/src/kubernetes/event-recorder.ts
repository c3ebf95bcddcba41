import { randomBytes } from "node:crypto";
import { isAlreadyExists, isNotFound } from "./api-error.ts";
import type { ApiClient, Bound } from "./client.ts";
import { type KubeObject, keyOf } from "./kube-object.ts";
import { apiVersionOf, events, type Resource } from "./resource.ts";

/** One thing worth telling about an object. `reason` and `action` are CamelCase words, `note` a sentence. */
export type Occurrence = Readonly<{
  regarding: KubeObject;
  resource: Resource;
  type: "Normal" | "Warning";
  reason: string;
  action: string;
  note: string;
}>;

export type EventRecorderOptions = Readonly<{
  client: ApiClient;
  /** `trainingrun.dev/operator`. */
  controller: string;
  /** This process, such as its pod's name. */
  instance: string;
  now?: () => number;
}>;

/**
 * Writes events.k8s.io/v1 events. The same occurrence again becomes a series of the event that stands: counted
 * at once, written at most every half minute, and what was counted since is written by {@link flush}.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #now: () => number;
  readonly #series = new Map<string, Series>();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Tells of an occurrence. Rejects where the server cannot be told; nothing else depends on an event. */
  async record(occurrence: Occurrence, bound: Bound): Promise<void> {
    const key = identity(occurrence);
    const known = this.#series.get(key);
    const now = this.#now();
    this.#forgetOld(now);
    if (known !== undefined && now - known.lastAt <= seriesMs) {
      known.count += 1;
      known.lastAt = now;
      if (now - known.writtenAt >= rewriteMs || known.count === 2) await this.#rewrite(key, known, bound);
      return;
    }
    const namespace = occurrence.regarding.metadata.namespace ?? "default";
    const name = `${occurrence.regarding.metadata.name}.${randomBytes(8).toString("hex")}`;
    this.#series.set(key, { namespace, name, count: 1, lastAt: now, writtenAt: now, writtenCount: 1 });
    try {
      await this.#options.client.create(
        { resource: events, namespace },
        this.#event(occurrence, { namespace, name, now }),
        bound,
      );
    } catch (error) {
      // The name is drawn for this event alone, so one that stands is ours: the first answer was lost.
      if (isAlreadyExists(error)) return;
      this.#series.delete(key);
      throw error;
    }
  }

  /** Writes the counts that are not written yet. */
  async flush(bound: Bound): Promise<void> {
    for (const [key, series] of this.#series) {
      if (series.count > series.writtenCount) await this.#rewrite(key, series, bound);
    }
  }

  #event(occurrence: Occurrence, at: Readonly<{ namespace: string; name: string; now: number }>): unknown {
    const { regarding, resource, type, reason, action, note } = occurrence;
    return {
      apiVersion: apiVersionOf(events),
      kind: events.kind,
      metadata: { namespace: at.namespace, name: at.name },
      eventTime: microTime(at.now),
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance.slice(0, 128),
      type,
      reason: reason.slice(0, 128),
      action: action.slice(0, 128),
      note: shorten(note),
      regarding: {
        apiVersion: apiVersionOf(resource),
        kind: resource.kind,
        namespace: regarding.metadata.namespace,
        name: regarding.metadata.name,
        uid: regarding.metadata.uid,
        resourceVersion: regarding.metadata.resourceVersion,
      },
    };
  }

  async #rewrite(key: string, series: Series, bound: Bound): Promise<void> {
    const count = series.count;
    const patch = { series: { count, lastObservedTime: microTime(series.lastAt) } };
    try {
      await this.#options.client.mergePatch(
        { resource: events, namespace: series.namespace, name: series.name },
        patch,
        bound,
      );
      series.writtenAt = this.#now();
      series.writtenCount = count;
    } catch (error) {
      // The server forgets events after an hour or so; the next occurrence begins a new one.
      if (!isNotFound(error)) throw error;
      this.#series.delete(key);
    }
  }

  #forgetOld(now: number): void {
    for (const [key, series] of this.#series) {
      if (now - series.lastAt > seriesMs || this.#series.size > mostSeries) this.#series.delete(key);
    }
  }
}

type Series = {
  readonly namespace: string;
  readonly name: string;
  count: number;
  lastAt: number;
  writtenAt: number;
  writtenCount: number;
};

const seriesMs = 6 * 60_000;
const rewriteMs = 30_000;
const mostSeries = 4096;
const longestNoteBytes = 1024;

function identity(occurrence: Occurrence): string {
  const { regarding, type, reason, action, note } = occurrence;
  return JSON.stringify([keyOf(regarding), regarding.metadata.uid, type, reason, action, note]);
}

/** An instant as the API's MicroTime; a plain timestamp is refused. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

function shorten(note: string): string {
  const bytes = Buffer.from(note);
  if (bytes.length <= longestNoteBytes) return note;
  return `${bytes.toString("utf8", 0, longestNoteBytes - 4).replace(/\uFFFD+$/, "")}…`;
}
