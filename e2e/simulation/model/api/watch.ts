import type { Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import { apiVersionOf } from "@trainingrun/operator/kubernetes/resource.ts";
import type { Refusal } from "./answers.ts";
import { type StoredObject, withMetadata } from "./object.ts";
import type { Selector } from "./selectors.ts";
import type { Revision, Store } from "./store.ts";

/** What a list or a watch looks at. */
export type View = Readonly<{ resource: Resource; namespace?: string | undefined; matches?: Selector | undefined }>;

/** Lets something happen later; `background` is what nobody waits for. */
export type Defer = (delayMs: number, run: () => void, kind: "work" | "background") => void;

/** How a watch goes on. */
export type WatchOptions = Readonly<{
  view: View;
  bookmarks: "Sent" | "NotSent";
  timeoutSeconds: number;
  /** Takes one line, its newline included. */
  say: (line: string) => void;
  /** The server has ended the watch in good order. */
  end: () => void;
}>;

/** One open watch: the lines that a client of the view is told. */
export class Watch {
  readonly #options: WatchOptions;
  /** The client has seen all up to this version: nothing before it is told, and no bookmark that is not past it. */
  #seenTo: number;
  #isOpen = true;

  constructor(options: WatchOptions, from: number) {
    this.#options = options;
    this.#seenTo = from;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get resource(): Resource {
    return this.#options.view.resource;
  }

  /** Tells what is there before anything happens. */
  begin(revision: Revision): void {
    this.#tell(asAdded(revision));
  }

  /** Tells of a write, where it is within the view. */
  show(revision: Revision): void {
    if (revision.version <= this.#seenTo) return;
    if (this.#tell(revision)) this.#seenTo = revision.version;
  }

  /** Tells that the view is complete up to a version, where that is news. */
  bookmark(version: number): void {
    if (!this.#isOpen || this.#options.bookmarks === "NotSent" || version <= this.#seenTo) return;
    this.#seenTo = version;
    const { resource } = this.#options.view;
    const metadata = { resourceVersion: String(version), creationTimestamp: null };
    const object = { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata };
    this.#options.say(`${JSON.stringify({ type: "BOOKMARK", object })}\n`);
  }

  /** Tells why the watch cannot go on, and ends it. */
  fail(refusal: Refusal): void {
    if (!this.#isOpen) return;
    this.#options.say(`${JSON.stringify({ type: "ERROR", object: refusal.body })}\n`);
    this.end();
  }

  /** Ends the watch as the server does when its time is over. */
  end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#options.end();
  }

  /** The client has gone. */
  leave(): void {
    this.#isOpen = false;
  }

  #tell(revision: Revision): boolean {
    const line = lineOf(revision, this.#options.view);
    if (!this.#isOpen || line === undefined) return false;
    this.#options.say(line);
    return true;
  }
}

/** The watches that are open at one server. */
export class Watches {
  readonly #store: Store;
  readonly #defer: Defer;
  readonly #open = new Map<string, Set<Watch>>();

  constructor(store: Store, defer: Defer) {
    this.#store = store;
    this.#defer = defer;
    store.listen((resource, revision) => {
      for (const watch of this.#open.get(nameOf(resource)) ?? []) {
        if (watch.isOpen) watch.show(revision);
        else this.#open.get(nameOf(resource))?.delete(watch);
      }
    });
  }

  /** How many watches are open. */
  get count(): number {
    return [...this.#open.values()].reduce((sum, set) => sum + [...set].filter(({ isOpen }) => isOpen).length, 0);
  }

  /** Opens a watch: after a version, or with what is there now told first. */
  open(options: WatchOptions, from: number | "Now"): Watch {
    const watch = new Watch(options, from === "Now" ? this.#store.version : from);
    const { resource, namespace } = options.view;
    if (from === "Now") {
      for (const revision of this.#store.list(resource, namespace)) watch.begin(revision);
    } else {
      for (const revision of this.#store.since(resource, from)) watch.show(revision);
    }
    const name = nameOf(resource);
    const peers = this.#open.get(name) ?? new Set();
    this.#open.set(name, peers.add(watch));
    const lastsMs = options.timeoutSeconds * 1000;
    this.#defer(lastsMs, () => watch.end(), "background");
    // One about every minute, and one shortly before the end.
    const tick = (leftMs: number) => {
      const waitMs = Math.min(bookmarkEveryMs, Math.max(leftMs - lastBookmarkMs, 0));
      if (leftMs <= lastBookmarkMs) return;
      this.#defer(
        waitMs,
        () => {
          if (!watch.isOpen) return;
          watch.bookmark(this.#store.version);
          tick(leftMs - waitMs);
        },
        "background",
      );
    };
    if (options.bookmarks === "Sent") tick(lastsMs);
    return watch;
  }

  /** Ends every watch. */
  endAll(): void {
    for (const watches of this.#open.values()) for (const watch of watches) watch.end();
    this.#open.clear();
  }
}

const bookmarkEveryMs = 60_000;
const lastBookmarkMs = 2_000;

/** The line that tells a view of a write; none where the object is neither in the view nor was. */
function lineOf(revision: Revision, view: View): string | undefined {
  const { object, before, type, version } = revision;
  if (view.namespace !== undefined && object.metadata.namespace !== view.namespace) return undefined;
  if (view.matches === undefined) return eventLine(type, revision.text);
  const isIn = type !== "DELETED" && view.matches(object);
  const wasIn = before !== undefined && view.matches(before);
  if (isIn) return eventLine(wasIn ? "MODIFIED" : "ADDED", revision.text);
  if (!wasIn) return undefined;
  // Told as it last was in the view, under the version that took it out.
  return eventLine("DELETED", type === "DELETED" ? revision.text : textUnder(before, version));
}

function textUnder(object: StoredObject, version: number): string {
  return JSON.stringify(withMetadata(object, { resourceVersion: String(version) }));
}

function eventLine(type: string, text: string): string {
  return `{"type":"${type}","object":${text}}\n`;
}

function asAdded(revision: Revision): Revision {
  return revision.type === "ADDED" ? revision : revision.as("ADDED");
}

function nameOf(resource: Resource): string {
  return `${resource.group}/${resource.plural}`;
}
