import { apiVersionOf } from "@trainingrun/operator/kubernetes/resource.ts";
import { badRequest, expired, Refusal } from "./answers.ts";
import type { Kind } from "./kind.ts";
import { fieldsOf, keyIn } from "./object.ts";
import { fieldSelector, labelSelector, type Selector } from "./selectors.ts";
import type { Revision, Store } from "./store.ts";

/** What a list or a watch is asked with. */
export type Query = Readonly<Record<string, string | undefined>>;

/** One page: what is on it, and what the server says of the whole. */
export type ListPage = Readonly<{
  version: number;
  revisions: readonly Revision[];
  continue?: string;
  remaining?: number;
}>;

/** The selectors of a query as one. */
export function selectorOf(kind: Kind, query: Query): Selector | undefined {
  const { labelSelector: labels, fieldSelector: fields } = query;
  const byLabels = labels === undefined || labels === "" ? undefined : labelSelector(labels);
  const byFields = fields === undefined || fields === "" ? undefined : fieldSelector(fields, kind.selectable);
  if (byLabels === undefined || byFields === undefined) return byLabels ?? byFields;
  return (object) => byLabels(object) && byFields(object);
}

/** One page of a collection. All pages of a list show the version that the first one showed. */
export function listPage(
  store: Store,
  asked: Readonly<{ kind: Kind; namespace: string | undefined; query: Query; at?: number | undefined }>,
): ListPage {
  const { kind, namespace, query } = asked;
  const limit = Number(query.limit ?? 0);
  const token = query.continue === undefined || query.continue === "" ? undefined : readToken(query.continue);
  const version = token?.version ?? asked.at ?? store.version;
  const all = atVersion(() => store.list(kind.resource, namespace, version));
  const matches = selectorOf(kind, query);
  const left = token === undefined ? all : all.filter(({ object }) => keyIn(object.metadata) > token.after);
  const chosen = matches === undefined ? left : left.filter(({ object }) => matches(object));
  const revisions = limit === 0 ? chosen : chosen.slice(0, limit);
  const last = revisions.at(-1);
  // A full page ends the list only where nothing at all follows: what follows is not looked at before it is asked for.
  if (limit === 0 || revisions.length < limit || last === left.at(-1)) return { version, revisions };
  return {
    version,
    revisions,
    continue: last === undefined ? "" : tokenOf({ version, after: keyIn(last.object.metadata) }),
    // Where something selects, the server does not count ahead.
    ...(matches === undefined ? { remaining: chosen.length - limit } : {}),
  };
}

/** The page in JSON. Items of compiled kinds do not say what they are. */
export function listText(kind: Kind, page: ListPage): string {
  const metadata = {
    resourceVersion: String(page.version),
    ...(page.continue === undefined ? {} : { continue: page.continue }),
    ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
  };
  const items = page.revisions.map((revision) => (kind.isCustom ? revision.text : revision.item));
  const head = JSON.stringify({ kind: `${kind.resource.kind}List`, apiVersion: apiVersionOf(kind.resource), metadata });
  return `${head.slice(0, -1)},"items":[${items.join(",")}]}`;
}

type Token = Readonly<{ version: number; after: string }>;

function tokenOf(token: Token): string {
  return Buffer.from(JSON.stringify({ v: "meta.k8s.io/v1", rv: token.version, start: token.after })).toString(
    "base64url",
  );
}

function readToken(text: string): Token {
  try {
    const { rv, start } = fieldsOf(JSON.parse(Buffer.from(text, "base64url").toString("utf8")));
    if (typeof rv === "number" && typeof start === "string") return { version: rv, after: start };
  } catch {
    // Falls through to the refusal: a token that cannot be read is one that this server never gave.
  }
  throw badRequest(`continue key is not valid: ${text}`);
}

function atVersion(list: () => readonly Revision[]): readonly Revision[] {
  try {
    return list();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw expired("The provided continue parameter is too old to display a consistent list result");
  }
}
