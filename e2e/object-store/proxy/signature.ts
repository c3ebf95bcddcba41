import { createHash, createHmac } from "node:crypto";
import type { Credentials } from "../store-access.ts";
import { findHeader } from "./headers.ts";

/** A request cannot be signed anew. */
export class CannotSign extends Error {
  override readonly name = "CannotSign";
}

/** A request as it goes on. `headers` are names and values in turn. */
export interface Signable {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly string[];
}

const authorizationForm =
  /^AWS4-HMAC-SHA256 Credential=(?<user>[^/]+)\/(?<scope>[^,]+), ?SignedHeaders=(?<names>[^,]+), ?Signature=/;

/**
 * Headers with a signature (AWS Signature Version 4) that covers those of the signed headers that are still there. Time,
 * scope and the body's hash stay the client's.
 *
 * @throws {CannotSign} when it was signed with other keys, or with a signature for each piece of its body.
 */
export function signedAnew({ method, url, headers }: Signable, credentials: Credentials): string[] {
  const {
    user,
    scope = "",
    names = "",
  } = authorizationForm.exec(findHeader(headers, "authorization") ?? "")?.groups ?? {};
  if (user !== credentials.accessKeyId) throw new CannotSign(`Cannot sign for ${user}: the proxy has other keys`);
  const bodyHash = findHeader(headers, "x-amz-content-sha256") ?? "";
  if (bodyHash.startsWith("STREAMING-")) throw new CannotSign(`Cannot sign a body in pieces: ${bodyHash}`);
  const signedNames = names.split(";").filter((name) => findHeader(headers, name) !== undefined);
  const [path = "", query = ""] = url.split("?");
  const canonical = [
    method,
    path,
    query
      .split("&")
      .filter((pair) => pair !== "")
      .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
      .sort()
      .join("&"),
    ...signedNames.map((name) => `${name}:${findHeader(headers, name)?.trim().replaceAll(/ +/g, " ")}`),
    "",
    signedNames.join(";"),
    bodyHash,
  ].join("\n");
  const time = findHeader(headers, "x-amz-date") ?? "";
  const text = ["AWS4-HMAC-SHA256", time, scope, createHash("sha256").update(canonical).digest("hex")].join("\n");
  const key = scope.split("/").reduce<Buffer | string>(hmac, `AWS4${credentials.secretAccessKey}`);
  const signature = hmac(key, text).toString("hex");
  const authorization = `AWS4-HMAC-SHA256 Credential=${user}/${scope}, SignedHeaders=${signedNames.join(";")}, Signature=${signature}`;
  return headers.map((value, index) =>
    index % 2 === 1 && headers[index - 1]?.toLowerCase() === "authorization" ? authorization : value,
  );
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
