/** What an S3 request asks for, as far as rules and assertions tell requests apart. */
export type Operation =
  | "PutObject"
  | "GetObject"
  | "HeadObject"
  | "DeleteObject"
  | "DeleteObjects"
  | "ListObjects"
  | "CreateUpload"
  | "UploadPart"
  | "CompleteUpload"
  | "AbortUpload"
  | "ListUploads"
  | "Other";

/** One request, read from its first line alone. */
export interface S3Request {
  readonly method: string;
  readonly operation: Operation;
  readonly bucket: string;
  /** Decoded; empty when the request is about a bucket or about none. */
  readonly key: string;
}

/** Reads a path-style request. Whatever is about something else than objects and uploads is `Other`. */
export function readS3Request(method: string, url: string): S3Request {
  const { pathname, searchParams } = new URL(url, "http://store");
  const [, bucket = "", ...rest] = pathname.split("/");
  const key = decodeURIComponent(rest.join("/"));
  const operation = key === "" ? bucketOperation(method, searchParams) : objectOperation(method, searchParams);
  return { method, operation: bucket === "" ? "Other" : operation, bucket: decodeURIComponent(bucket), key };
}

/** A listing carries none but these; `?versioning`, `?policy` and their like ask for something else. */
const listParameters = new Set([
  "list-type",
  "prefix",
  "delimiter",
  "max-keys",
  "marker",
  "start-after",
  "continuation-token",
  "encoding-type",
  "fetch-owner",
  "metadata",
]);

function bucketOperation(method: string, query: URLSearchParams): Operation {
  if (method === "GET" && query.has("uploads")) return "ListUploads";
  if (method === "GET" && [...query.keys()].every((name) => listParameters.has(name))) return "ListObjects";
  return method === "POST" && query.has("delete") ? "DeleteObjects" : "Other";
}

function objectOperation(method: string, query: URLSearchParams): Operation {
  const hasUpload = query.has("uploadId");
  switch (method) {
    case "PUT":
      if (hasUpload) return "UploadPart";
      return isPlain(query) ? "PutObject" : "Other";
    case "POST":
      if (hasUpload) return "CompleteUpload";
      return query.has("uploads") ? "CreateUpload" : "Other";
    case "DELETE":
      return hasUpload ? "AbortUpload" : "DeleteObject";
    case "HEAD":
      return "HeadObject";
    case "GET":
      return isPlain(query) ? "GetObject" : "Other";
    default:
      return "Other";
  }
}

/** Without a sub-resource such as `?retention`; a version may be named. */
function isPlain(query: URLSearchParams): boolean {
  return [...query.keys()].every((name) => name === "versionId" || name.startsWith("response-"));
}
