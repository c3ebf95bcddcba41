import type { Bucket, NamedPart, Right } from "./bucket.ts";
import type { S3Request } from "./faults.ts";
import { S3Refusal } from "./refusal.ts";
import { completedParts, errorText, listingText, removedKeys, uploadsText, uploadText } from "./s3-text.ts";

/** A request as it reaches the store. */
export type AskedOfStore = Readonly<{
  method: string;
  /** With the query. */
  path: string;
  /** Names in lower case. */
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Uint8Array;
}>;

/** An answer as it leaves the store. */
export type StoreAnswer = Readonly<{ status: number; headers: Readonly<Record<string, string>>; body: Buffer }>;

/** What a request asks for, from its method, path and query. */
type Parsed = Readonly<{
  request: S3Request;
  right: Right;
  /** Whether it is of this bucket at all. */
  isHere: boolean;
  /** Or the prefix, of a request that names one. */
  key: string;
  query: URLSearchParams;
  asked: AskedOfStore;
}>;

const nothing = Buffer.alloc(0);
const maxSkewMs = 15 * 60_000;

/**
 * Answers one request of the S3 protocol, as far as the object store's client speaks it: by path (`/bucket/key`), signed
 * with keys whose id is looked at and whose signature is not. `reset` where the connection breaks instead.
 */
export function answerS3(bucket: Bucket, asked: AskedOfStore): StoreAnswer | "reset" {
  const parsed = parse(bucket.name, asked);
  if (parsed === null)
    return refused(asked, new S3Refusal(400, "InvalidRequest", "This is nothing that this store knows"));
  const fault = bucket.faults.meet(parsed.request, parsed.key);
  if (fault !== null && "answers" in fault) {
    return refused(asked, new S3Refusal(fault.answers.status, fault.answers.code, "A fault of the store"));
  }
  if (fault !== null && "breaks" in fault && fault.breaks === "before") return "reset";
  const answer = attempt(bucket, parsed);
  if (fault === null || !("breaks" in fault || "cutsTo" in fault)) return answer;
  return "breaks" in fault ? "reset" : { ...answer, body: answer.body.subarray(0, fault.cutsTo) };
}

function attempt(bucket: Bucket, parsed: Parsed): StoreAnswer {
  try {
    letIn(bucket, parsed);
    return carryOut[parsed.request](bucket, parsed);
  } catch (error) {
    if (error instanceof S3Refusal) return refused(parsed.asked, error);
    throw error;
  }
}

const carryOut: Readonly<Record<S3Request, (bucket: Bucket, parsed: Parsed) => StoreAnswer>> = {
  Put: (bucket, { key, asked }) => {
    bucket.put(key, asked.body, { ifAbsent: asked.headers["if-none-match"] === "*" });
    return answer(200);
  },
  Get: (bucket, { key, asked }) => rangeOf(bucket.get(key), asked.headers.range),
  Head: (bucket, { key }) => answer(200, nothing, { "content-length": `${bucket.get(key).byteLength}` }),
  List: (bucket, { query }) => {
    const prefix = query.get("prefix") ?? "";
    const after = query.get("continuation-token") ?? query.get("start-after") ?? "";
    return answer(200, listingText(bucket.name, bucket.list(prefix, { after })));
  },
  Remove: (bucket, { asked }) => {
    bucket.remove(removedKeys(textOf(asked.body)));
    return answer(200, '<?xml version="1.0" encoding="UTF-8"?><DeleteResult></DeleteResult>');
  },
  BeginUpload: (bucket, { key }) => answer(200, uploadText(bucket.name, { key, id: bucket.begin(key) })),
  PutPart: (bucket, { key, query, asked }) => {
    const part = Number(query.get("partNumber"));
    return answer(200, nothing, { etag: bucket.putPart({ key, id: uploadId(query) }, part, asked.body) });
  },
  CompleteUpload: (bucket, { key, query, asked }) => {
    const parts: NamedPart[] = completedParts(textOf(asked.body));
    bucket.complete({ key, id: uploadId(query) }, parts);
    return answer(
      200,
      '<?xml version="1.0" encoding="UTF-8"?><CompleteMultipartUploadResult></CompleteMultipartUploadResult>',
    );
  },
  AbortUpload: (bucket, { key, query }) => {
    bucket.abort({ key, id: uploadId(query) });
    return answer(204);
  },
  ListUploads: (bucket, { query }) => answer(200, uploadsText(bucket.name, bucket.uploads(query.get("prefix") ?? ""))),
};

function parse(bucketName: string, asked: AskedOfStore): Parsed | null {
  const [path = "", ...asks] = asked.path.split("?");
  const [, bucket = "", ...rest] = path.split("/");
  const key = decodeURIComponent(rest.join("/"));
  const query = new URLSearchParams(asks.join("?"));
  const kind = kindOf(asked.method, { isKey: key !== "", query });
  if (kind === null) return null;
  return { ...kind, isHere: bucket === bucketName, key: key === "" ? (query.get("prefix") ?? "") : key, query, asked };
}

function kindOf(method: string, { isKey, query }: { isKey: boolean; query: URLSearchParams }) {
  const inParts = query.has("uploadId");
  switch (`${method} ${isKey ? "key" : "bucket"}`) {
    case "PUT key":
      return inParts ? told("PutPart", "Put") : told("Put", "Put");
    case "GET key":
      return told("Get", "Get");
    case "HEAD key":
      return told("Head", "Get");
    case "POST key":
      return inParts ? told("CompleteUpload", "Put") : query.has("uploads") ? told("BeginUpload", "Put") : null;
    case "DELETE key":
      return inParts ? told("AbortUpload", "Uploads") : null;
    case "GET bucket":
      return query.has("uploads")
        ? told("ListUploads", "Uploads")
        : query.has("list-type")
          ? told("List", "List")
          : null;
    case "POST bucket":
      return query.has("delete") ? told("Remove", "Delete") : null;
    default:
      return null;
  }
}

function told(request: S3Request, right: Right): Readonly<{ request: S3Request; right: Right }> {
  return { request, right };
}

/** Whether this may be asked at all: by these keys, at this time, of this bucket. */
function letIn(bucket: Bucket, { right, isHere, asked }: Parsed): void {
  const { authorization, "x-amz-date": date } = asked.headers;
  const [, id = ""] = /Credential=([^/]+)\//.exec(String(authorization)) ?? [];
  const rights = bucket.rights === null ? null : (bucket.rights.get(id) ?? "unknown");
  if (rights === "unknown") {
    throw new S3Refusal(403, "InvalidAccessKeyId", "The access key ID you provided does not exist in our records.");
  }
  if (Math.abs(signedAt(String(date)) - bucket.clock()) > maxSkewMs) {
    throw new S3Refusal(
      403,
      "RequestTimeTooSkewed",
      "The difference between the request time and the server's is too large.",
    );
  }
  if (!bucket.exists || !isHere) {
    throw new S3Refusal(404, "NoSuchBucket", "The specified bucket does not exist");
  }
  if (rights !== null && !rights.has(right)) throw new S3Refusal(403, "AccessDenied", "Access Denied.");
}

/** `20260105T101500Z`, as it stands in the header that is signed. */
function signedAt(date: string): number {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? [];
  if (second === undefined) throw new S3Refusal(403, "AccessDenied", "AWS authentication requires a valid date");
  return Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
}

function rangeOf(bytes: Uint8Array, range: string | string[] | undefined): StoreAnswer {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(String(range)) ?? [];
  if (first === undefined || last === undefined) return answer(200, Buffer.from(bytes));
  const from = Number(first);
  if (from >= bytes.byteLength) {
    throw new S3Refusal(416, "InvalidRange", "The requested range is not satisfiable");
  }
  const piece = Buffer.from(bytes.subarray(from, Number(last) + 1));
  const { byteLength } = bytes;
  return answer(206, piece, { "content-range": `bytes ${from}-${from + piece.byteLength - 1}/${byteLength}` });
}

function refused({ method, path }: AskedOfStore, refusal: S3Refusal): StoreAnswer {
  // An answer to HEAD has no body, whatever it would say.
  return answer(refusal.status, method === "HEAD" ? nothing : errorText(refusal, path));
}

function answer(status: number, body: string | Buffer = nothing, headers: Record<string, string> = {}): StoreAnswer {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const type = typeof body === "string" ? { "content-type": "application/xml" } : {};
  return { status, headers: { "content-length": `${bytes.byteLength}`, ...type, ...headers }, body: bytes };
}

function uploadId(query: URLSearchParams): string {
  return query.get("uploadId") ?? "";
}

function textOf(body: Uint8Array): string {
  return Buffer.from(body).toString("utf8");
}
