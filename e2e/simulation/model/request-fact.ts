import type { Actor, ApiRequest } from "../judge/history.ts";
import type { Seen } from "./api/faults.ts";
import { type Fields, fieldsOf, isFields, listOf } from "./api/object.ts";

const verbs: Readonly<Record<string, ApiRequest["verb"]>> = {
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** A request as the history has it; null where its path leads nowhere. */
export function requestFact(seen: Seen, { by, code, version }: Pick<ApiRequest, "by" | "code" | "version">) {
  const { target, method, isWatch, body } = seen;
  if (target === undefined) return null;
  const { namespace, name, subresource, resource } = target;
  const reading = isWatch ? "watch" : name === undefined ? "list" : "get";
  const said: unknown = body === undefined ? {} : JSON.parse(body);
  const fact: ApiRequest = {
    kind: "Request",
    by: by satisfies Actor,
    verb: verbs[method] ?? reading,
    resource: resource.plural,
    namespace,
    name: name ?? nameIn(said),
    subresource,
    demands: demandsOf(said),
    code,
    version,
  };
  return fact;
}

/** What is to be created has its name in its body. */
function nameIn(body: unknown): string | undefined {
  const { name } = fieldsOf(fieldsOf(body).metadata);
  return typeof name === "string" ? name : undefined;
}

/** What a body demands of the object: by preconditions, by fields that say which one is meant, or by `test`. */
function demandsOf(body: unknown): ApiRequest["demands"] {
  if (Array.isArray(body)) {
    const tested = (path: string) =>
      listOf(body)
        .map(fieldsOf)
        .find((each) => each.op === "test" && each.path === path);
    return pick({ uid: tested("/metadata/uid")?.value, resourceVersion: tested("/metadata/resourceVersion")?.value });
  }
  const { preconditions, metadata } = fieldsOf(body);
  return pick(isFields(preconditions) ? preconditions : fieldsOf(metadata));
}

function pick({ uid, resourceVersion }: Fields): ApiRequest["demands"] {
  return {
    ...(typeof uid === "string" ? { uid } : {}),
    ...(typeof resourceVersion === "string" ? { resourceVersion } : {}),
  };
}
