import type { ApiClient } from "./client.ts";
import type { KubeObject } from "./kube-object.ts";
import { isVersion, readObject, type Scope } from "./readable-object.ts";
import { describe } from "./resource.ts";

/** The answer to a list is none: its kind, its version, or an item is not what was asked for. */
export class UnreadableListError extends Error {
  override readonly name = "UnreadableListError";
}

/** Everything of a scope, as it was at one version of the server's state. */
export type WholeList = Readonly<{ version: string; items: readonly KubeObject[] }>;

/** Bounds of a list: objects a page, and the time for one page. */
export type ListBounds = Readonly<{ pageSize: number; pageTimeoutMs: number; signal: AbortSignal }>;

/**
 * Reads a scope page by page. Without a resource version in the query the first page is consistent: it holds all
 * that was written before it was asked for. Each page is tried once; who reads lists repeats them in its own way.
 */
export async function readWholeList(client: ListClient, scope: Scope, bounds: ListBounds): Promise<WholeList> {
  const items: KubeObject[] = [];
  let version: string | undefined;
  let next: string | undefined;
  for (let pages = 0; pages < mostPages; pages += 1) {
    const page = await readPage(client, { scope, next }, bounds);
    // All pages are of the first one's version. Were one newer, the watch from the first would tell of it again.
    version ??= page.version;
    for (const item of page.items) items.push(item);
    next = page.next;
    if (next === undefined) return { version, items };
  }
  throw unreadable(scope, `it has more than ${mostPages} pages`);
}

/** The server's version now, for the price of one object. */
export async function readVersion(client: ListClient, scope: Scope, bounds: ListBounds): Promise<string> {
  const page = await readPage(client, { scope, next: undefined }, { ...bounds, pageSize: 1 });
  return page.version;
}

/** What lists are read with. */
export type ListClient = Pick<ApiClient, "list">;

const mostPages = 10_000;

type ReadPage = Readonly<{ version: string; next: string | undefined; items: readonly KubeObject[] }>;

async function readPage(
  client: ListClient,
  asked: Readonly<{ scope: Scope; next: string | undefined }>,
  { pageSize, pageTimeoutMs, signal }: ListBounds,
): Promise<ReadPage> {
  const { resource, namespace, labelSelector } = asked.scope;
  const query = { labelSelector, limit: String(pageSize), continue: asked.next };
  const answer = await client.list({ resource, namespace }, query, { signal, tries: 1, timeoutMs: pageTimeoutMs });
  return parsePage(answer, asked.scope);
}

function parsePage(answer: unknown, scope: Scope): ReadPage {
  const { kind, metadata, items } = (answer ?? {}) as { kind?: unknown; metadata?: unknown; items?: unknown };
  const { resourceVersion, continue: next } = (metadata ?? {}) as { resourceVersion?: unknown; continue?: unknown };
  if (kind !== `${scope.resource.kind}List`) throw unreadable(scope, `its kind is ${String(kind)}`);
  if (!isVersion(resourceVersion)) throw unreadable(scope, `its version is ${String(resourceVersion)}`);
  if (!Array.isArray(items)) throw unreadable(scope, "it has no items");
  if (next !== undefined && typeof next !== "string") throw unreadable(scope, "its continuation is no text");
  const objects = items.map((item: unknown, index) => {
    const read = readObject(item, scope, "Item");
    if (read.kind === "Flawed") throw unreadable(scope, `its item ${index} is no object, ${read.why}`);
    return read.object;
  });
  return { version: resourceVersion, next: next === "" ? undefined : next, items: objects };
}

function unreadable(scope: Scope, why: string): UnreadableListError {
  return new UnreadableListError(`Cannot read the list of ${describe(scope)} because the answer is none, ${why}`);
}
