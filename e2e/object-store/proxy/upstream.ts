import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import type { Signable } from "./signature.ts";

/** A request that goes on to the store. */
export interface Forwarded extends Signable {
  readonly body: AsyncIterable<Buffer>;
}

/** Sends a request to the store on a connection of its own, and returns the head of its reply. */
export async function askStore(
  target: URL,
  { method, url, headers, body }: Forwarded,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const socket = await connectTo(target, signal);
  const upstream = httpRequest({
    method,
    path: url,
    headers: [...headers],
    setHost: false,
    signal,
    // Connected before the first byte of the body comes: a cut after n bytes is then one that the store sees.
    createConnection: () => socket,
  });
  const replied: Promise<IncomingMessage[]> = once(upstream, "response", { signal });
  const sent = pipeline(body, upstream, { signal });
  // A store may refuse before it has read the whole body. Then the reply counts, not that it stopped reading.
  const [reply] = await Promise.race([replied, sent.then(() => replied)]);
  if (reply === undefined) throw new Error(`Cannot read the store's reply to ${method} ${url}: there is none`);
  return reply;
}

async function connectTo(target: URL, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ host: target.hostname, port: Number(target.port), noDelay: true, signal });
  await once(socket, "connect", { signal });
  return socket;
}
