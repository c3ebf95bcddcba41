import type { ForkedFrom } from "../api/status.ts";

/** Where the address of a checkpoint leads. */
export type Place = Pick<ForkedFrom, "uid" | "directory" | "claim" | "bucket" | "prefix">;

const forms =
  "s3://<bucket>/<prefix>/<uid of its run>/data/<directory>, or pvc://<claim>/<uid of its run>/data/<directory>";

/**
 * Reads `spec.resume.from.uri`, or says what is wrong with it. An address that begins with the run's own endpoint, as the
 * agent's log has it, is one in its object store.
 */
export function placeOf(uri: string, endpoint: string | undefined): Place | string {
  const own = endpoint === undefined ? null : `${endpoint.replace(/\/+$/, "")}/`;
  const normal = own !== null && uri.startsWith(own) ? `s3://${uri.slice(own.length)}` : uri;
  const [, scheme, holder = "", path] = /^(s3|pvc):\/\/([^/]+)\/(.+?)\/?$/.exec(normal) ?? [];
  const names = path?.split("/") ?? [];
  const [uid, data, directory] = names.slice(-3);
  const isWhole = uid !== undefined && /^[0-9A-Za-z-]{1,63}$/.test(uid) && data === "data";
  const prefix = names.slice(0, -3).join("/");
  const isCheckpoint = directory !== undefined && /^step-\d{12,15}-a\d{4,9}$/.test(directory);
  const isClaim = scheme === "pvc";
  const fits = isClaim ? holder.length <= 253 && prefix === "" : holder.length <= 63 && prefix.length <= 512;
  if (!isWhole || !isCheckpoint || !fits) return `the address ${uri} is not of the form ${forms}`;
  return isClaim ? { uid, directory, claim: holder } : { uid, directory, bucket: holder, prefix };
}

/** Whether the address was read. */
export function isPlace(found: Place | string): found is Place {
  return typeof found !== "string";
}
