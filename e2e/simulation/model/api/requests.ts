import { pods, type Resource, type Target } from "@trainingrun/operator/kubernetes/resource.ts";
import { aboutOf, badRequest, Refusal, success, tooLarge } from "./answers.ts";
import { readDeletion } from "./deletion.ts";
import type { Kind } from "./kind.ts";
import { listText, type Query } from "./lists.ts";
import type { Deleted, ModelApi, PatchType } from "./model-api.ts";
import { bindPod, evictPod } from "./pod-requests.ts";

/** A request as it comes over a connection. */
export type ApiRequest = Readonly<{
  method: string;
  path: string;
  contentType?: string | undefined;
  body?: string | undefined;
}>;

/** An answer as it goes over a connection. */
export type ApiAnswer = Readonly<{ code: number; text: string; headers?: Readonly<Record<string, string>> }>;

/** What the path of a request leads to. */
export type Route = Readonly<{ kind: Kind; target: Target; query: Query }>;

/** Where a path leads; undefined where the server has nothing. */
export function routeOf(api: ModelApi, path: string): Route | undefined {
  const [way = "", search = ""] = path.split("?", 2);
  const parts = way.split("/").slice(1).map(decodeURIComponent);
  const group = parts[0] === "api" ? "" : parts[0] === "apis" ? parts[1] : undefined;
  if (group === undefined) return undefined;
  const [version = "", ...rest] = parts.slice(group === "" ? 1 : 2);
  const isNamespaced = rest[0] === "namespaces" && rest.length > 2 && !ownParts.has(rest[2] ?? "");
  const [plural = "", name, subresource] = isNamespaced ? rest.slice(2) : rest;
  const kind = api.kindOf({ group, version, plural });
  if (kind === undefined) return undefined;
  const query = Object.fromEntries(new URLSearchParams(search));
  const namespace = isNamespaced ? rest[1] : undefined;
  const target = {
    resource: kind.resource,
    namespace,
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
  return { kind, target, query };
}

/** Answers every request but a watch; a refusal is an answer, too. */
export function answer(
  api: ModelApi,
  request: ApiRequest,
  how: Readonly<{ now: () => number; at?: number | undefined }>,
): ApiAnswer {
  const route = routeOf(api, request.path);
  if (route === undefined) return nothingThere;
  try {
    return answerTo(api, request, { ...route, ...how });
  } catch (error) {
    if (error instanceof Refusal) return refused(error);
    throw error;
  }
}

/** A refusal as an answer. */
export function refused(refusal: Refusal): ApiAnswer {
  const { retryAfterSeconds } = refusal.about;
  const headers = retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
  return { code: refusal.code, text: JSON.stringify(refusal.body), headers };
}

const largestBodyBytes = 3 * 1024 * 1024;
const ownParts = new Set(["status", "finalize"]);
const patchTypes = ["application/merge-patch+json", "application/json-patch+json"] as const;

type Asked = Route & Readonly<{ now: () => number; at?: number | undefined }>;

function answerTo(api: ModelApi, request: ApiRequest, asked: Asked): ApiAnswer {
  const { target, kind, query, at } = asked;
  if (!hasPart(asked)) {
    throw new Refusal(404, { reason: "NotFound", message: "the server could not find the requested resource" });
  }
  refuseUnserved(target, request.method);
  switch (request.method) {
    case "GET":
      return {
        code: 200,
        text: target.name === undefined ? listText(kind, api.list(target, query, at)) : api.get(target, at).text,
      };
    case "POST":
      if (target.subresource !== undefined) return ofPod(api, request, asked);
      return { code: 201, text: api.create(target, bodyOf(request)).text };
    case "PUT":
      return { code: 200, text: api.update(target, bodyOf(request)).text };
    case "PATCH":
      return { code: 200, text: patched(api, request, asked) };
    case "DELETE":
      return deleted(kind, api.remove(target, readDeletion(request.body ? bodyOf(request) : {})));
    default:
      throw notAllowed(kind.resource);
  }
}

function ofPod(api: ModelApi, request: ApiRequest, { target, now }: Asked): ApiAnswer {
  const place = { namespace: target.namespace ?? "", name: target.name ?? "" };
  if (target.subresource === "binding") bindPod(api, place, bodyOf(request), now());
  else evictPod(api, place, bodyOf(request), now());
  return { code: 201, text: JSON.stringify({ ...success(undefined), code: 201 }) };
}

function patched(api: ModelApi, request: ApiRequest, { target, query }: Asked): string {
  const validation = query.fieldValidation === "Strict" ? "Strict" : "Ignore";
  return api.patch(target, patchTypeOf(request), bodyOf(request), validation).text;
}

function deleted(kind: Kind, { kind: what, revision }: Deleted): ApiAnswer {
  if (what === "Held" || kind.showsDeleted) return { code: 200, text: revision.text };
  const { name, uid } = revision.object.metadata;
  return { code: 200, text: JSON.stringify(success(aboutOf(kind.resource, name, uid))) };
}

function bodyOf({ body = "" }: ApiRequest): unknown {
  if (body.length > largestBodyBytes) throw tooLarge(largestBodyBytes);
  try {
    return JSON.parse(body);
  } catch {
    throw badRequest(`the body is no JSON: ${body.slice(0, 80)}`);
  }
}

function patchTypeOf({ contentType }: ApiRequest): PatchType {
  const type = patchTypes.find((each) => each === contentType);
  if (type !== undefined) return type;
  const message = `the body of the request was in an unknown format - accepted media types include: ${patchTypes.join(", ")}`;
  throw new Refusal(415, { reason: "UnsupportedMediaType", message });
}

/** Whether the kind has the part that the path names. */
function hasPart({ kind, target }: Route): boolean {
  const { subresource } = target;
  if (subresource === undefined || (subresource === "status" && kind.hasStatus)) return true;
  return kind.resource.plural === pods.plural && ofPods.has(subresource);
}

function refuseUnserved(target: Target, method: string): void {
  const { resource, name, subresource = "" } = target;
  const served = ofPods.has(subresource) ? ["POST"] : subresource === "status" ? ["GET", "PUT", "PATCH"] : undefined;
  const isServed = served?.includes(method) ?? (method === "GET" || (method === "POST") === (name === undefined));
  if (!isServed) throw notAllowed(resource);
}

const ofPods = new Set(["binding", "eviction"]);
const nothingThere: ApiAnswer = { code: 404, text: "404 page not found\n", headers: { "content-type": "text/plain" } };

function notAllowed(resource: Resource): Refusal {
  const message = `the server does not allow this method on ${resource.plural}`;
  return new Refusal(405, { reason: "MethodNotAllowed", message });
}
