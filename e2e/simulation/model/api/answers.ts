import type { Resource } from "@trainingrun/operator/kubernetes/resource.ts";

/** One reason why an object is refused, and the field that it is about. */
export type Cause = Readonly<{ reason: string; field: string; message: string }>;

/** What a refusal is about. */
export type About = Readonly<{
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: readonly Cause[];
  retryAfterSeconds?: number;
}>;

/**
 * The server's no: a Status object. The sentences are the server's own as far as programs read them (`is invalid:`,
 * `failed calling webhook`, the words for a namespace that is being terminated); the rest only says the same.
 */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: number;
  readonly reason: string;
  readonly about: About;

  constructor(code: number, words: Readonly<{ reason: string; message: string }>, about: About = {}) {
    super(words.message);
    this.code = code;
    this.reason = words.reason;
    this.about = about;
  }

  /** The Status object of the answer, or of a watch's ERROR line. */
  get body(): Readonly<Record<string, unknown>> {
    const { about, message, reason, code } = this;
    const details = Object.keys(about).length === 0 ? {} : { details: about };
    return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, ...details, code };
  }
}

/** There is no such object. */
export function notFound(resource: Resource, name: string): Refusal {
  const words = { reason: "NotFound", message: `${qualified(resource)} "${name}" not found` };
  return new Refusal(404, words, aboutOf(resource, name));
}

/** Another object has the name. */
export function alreadyExists(resource: Resource, name: string): Refusal {
  const words = { reason: "AlreadyExists", message: `${qualified(resource)} "${name}" already exists` };
  return new Refusal(409, words, aboutOf(resource, name));
}

/** The object is not the one, or not the version, that the write was meant for. */
export function conflict(resource: Resource, name: string, why: string): Refusal {
  const message = `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`;
  return new Refusal(409, { reason: "Conflict", message }, aboutOf(resource, name));
}

/** The object breaks its schema or a rule. */
export function invalid(resource: Resource, name: string, causes: readonly Cause[]): Refusal {
  const kind = resource.group === "" ? resource.kind : `${resource.kind}.${resource.group}`;
  const words = causes.map(({ field, message }) => `${field}: ${message}`);
  const all = words.length === 1 ? words[0] : `[${words.join(", ")}]`;
  const about = { name, ...(resource.group === "" ? {} : { group: resource.group }), kind: resource.kind, causes };
  return new Refusal(422, { reason: "Invalid", message: `${kind} "${name}" is invalid: ${all}` }, about);
}

/** A strict patch by which an object would have fields that its definition lacks. The object itself comes before them. */
export function unknownFields(patched: unknown, paths: readonly string[]): Refusal {
  const unknown = paths.map((path) => `unknown field "${path}"`).join(", ");
  const message = `Invalid value: ${JSON.stringify(JSON.stringify(patched))}: strict decoding error: ${unknown}`;
  const causes = [{ reason: "FieldValueInvalid", field: "patch", message }];
  return new Refusal(422, { reason: "Invalid", message: ` "" is invalid: patch: ${message}` }, { causes });
}

/** A JSON patch that does not fit the object: its `test` failed, or its path is not there. No field is named. */
export function unfitPatch(why: string): Refusal {
  const message = `the server rejected our request due to an error in our request: ${why}`;
  return new Refusal(422, { reason: "Invalid", message });
}

/** Quota, admission, a terminating namespace, missing rights. */
export function forbidden(resource: Resource, name: string, why: string, causes: readonly Cause[] = []): Refusal {
  const message = `${qualified(resource)} "${name}" is forbidden: ${why}`;
  const about = { ...aboutOf(resource, name), ...(causes.length === 0 ? {} : { causes }) };
  return new Refusal(403, { reason: "Forbidden", message }, about);
}

/** A request that cannot be understood. */
export function badRequest(message: string): Refusal {
  return new Refusal(400, { reason: "BadRequest", message });
}

/** A version that is no longer in the history. */
export function expired(message: string): Refusal {
  return new Refusal(410, { reason: "Expired", message });
}

/** More bytes than the server takes. */
export function tooLarge(limitBytes: number): Refusal {
  const message = `Request entity too large: limit is ${limitBytes}`;
  return new Refusal(413, { reason: "RequestEntityTooLarge", message });
}

/** The server's yes where there is no object to show: the object is gone, or the request had none. */
export function success(about: About | undefined): Readonly<Record<string, unknown>> {
  const details = about === undefined ? {} : { details: about };
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", ...details };
}

/** What a Status object says of the object it is about. */
export function aboutOf(resource: Resource, name: string, uid?: string): About {
  const group = resource.group === "" ? {} : { group: resource.group };
  return { name, ...group, kind: resource.plural, ...(uid === undefined ? {} : { uid }) };
}

function qualified(resource: Resource): string {
  return resource.group === "" ? resource.plural : `${resource.plural}.${resource.group}`;
}
