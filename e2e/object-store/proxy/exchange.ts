import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Credentials } from "../store-access.ts";
import { downloadFault, passed, uploadFault } from "./body.ts";
import { type Fault, refusals } from "./fault.ts";
import type { Gate } from "./gate.ts";
import { ownHeaders, withoutHeaders } from "./headers.ts";
import { type Listing, type ListMemory, withoutKeys } from "./list-memory.ts";
import type { OpenRequest } from "./request-log.ts";
import type { PickedFault } from "./rules.ts";
import { CannotSign, signedAnew } from "./signature.ts";
import { askStore } from "./upstream.ts";

/** One request on its way, and all that decides about it. */
export interface Exchange {
  readonly request: IncomingMessage;
  /** The client's connection; the request itself forgets it when it ends. */
  readonly socket: Socket;
  readonly response: ServerResponse;
  readonly entry: OpenRequest;
  readonly picked: PickedFault | undefined;
  readonly target: URL;
  readonly credentials: Credentials | undefined;
  /** Shut while the proxy is frozen. */
  readonly gate: Gate;
  readonly lists: ListMemory;
  /** The client is gone, or the proxy stops. */
  readonly signal: AbortSignal;
  /** The proxy stops. */
  readonly stopped: AbortSignal;
}

/** What a store that plays ignorant is not told, by the fault. */
const ignoredHeaders: Readonly<Record<string, readonly string[]>> = {
  IgnoreConditions: ["if-none-match", "if-match"],
  IgnoreSums: ["x-amz-checksum-algorithm", "x-amz-checksum-crc32"],
};

const maxKeptBytes = 64 * 1024 * 1024;

/** Brings one request to the store and the reply back, unless its fault prevents that. */
export async function serve(exchange: Exchange): Promise<void> {
  const { picked, signal, gate, entry } = exchange;
  const fault = picked?.fault;
  await gate.passed(signal);
  switch (fault?.kind) {
    case "Reset":
      return reset(exchange);
    case "Answer":
      return await refuse(exchange, fault);
    case "Page":
      return await answerInstead(exchange, { status: fault.status, type: "text/html", text: page });
    case "ArriveLate":
      return await arriveLate(exchange);
    case "Delay":
      await delay(fault.ms, undefined, { signal });
      break;
    case "Hold":
      if (fault.what === "Request") await picked?.released.passed(signal);
      break;
    case "StaleList": {
      const listing = entry.operation === "ListObjects" ? exchange.lists.recall(entry.url) : undefined;
      if (listing !== undefined) return sendListing(exchange, listing);
      break;
    }
  }
  const reply = await forward(exchange, onItsWay(exchange), signal);
  if (fault?.kind === "LoseReply") {
    await drain(reply);
    return reset(exchange);
  }
  if (fault?.kind === "Hold" && fault.what === "Reply") await picked?.released.passed(signal);
  await gate.passed(signal);
  await passBack(exchange, reply);
}

/** Breaks the connection to the client, so that it sees a reset and no reply. */
export function reset({ socket, entry }: Exchange): void {
  entry.isAborted = true;
  socket.resetAndDestroy();
}

async function forward(exchange: Exchange, body: AsyncIterable<Buffer>, signal: AbortSignal): Promise<IncomingMessage> {
  const { entry, target } = exchange;
  const headers = forwardedHeaders(exchange);
  const reply = await askStore(target, { method: entry.method, url: entry.url, headers, body }, signal);
  entry.storeStatus = reply.statusCode;
  return reply;
}

/** All of the client's, `Host` included: what it signed must be what the store reads. */
function forwardedHeaders({ request, entry, picked, credentials }: Exchange): readonly string[] {
  const headers = withoutHeaders(request.rawHeaders, ownHeaders);
  const kept = withoutHeaders(headers, ignoredHeaders[picked?.fault.kind ?? ""] ?? []);
  if (kept.length === headers.length) return headers;
  if (credentials === undefined) {
    throw new CannotSign("Cannot take headers off a signed request: the proxy was started without credentials");
  }
  return signedAnew({ method: entry.method, url: entry.url, headers: kept }, credentials);
}

function onItsWay({ request, entry, picked, gate, signal }: Exchange): AsyncIterable<Buffer> {
  const count = (bytes: number) => {
    entry.requestBytes += bytes;
  };
  return passed(request, { fault: uploadFault(picked?.fault), gate, signal, count });
}

async function passBack(exchange: Exchange, reply: IncomingMessage): Promise<void> {
  const { response, entry, picked, gate, signal, lists } = exchange;
  const headers = withoutHeaders(reply.rawHeaders, ownHeaders);
  if (entry.operation === "ListObjects" && reply.statusCode === 200) {
    const listing = { headers, body: await text(reply) };
    lists.remember(entry.url, listing);
    return sendListing(exchange, listing);
  }
  const fault = downloadFault(picked?.fault);
  const length = Number(reply.headers["content-length"]);
  const isShortened = fault?.act === "EndHere" && fault.at < length && entry.method !== "HEAD";
  entry.status = reply.statusCode;
  response.writeHead(
    reply.statusCode ?? 502,
    isShortened ? [...withoutHeaders(headers, ["content-length"]), "content-length", String(fault.at)] : headers,
  );
  const count = (bytes: number) => {
    entry.replyBytes += bytes;
  };
  await pipeline(passed(reply, { fault, gate, signal, count }), response, { signal });
}

function sendListing({ response, entry, picked }: Exchange, { headers, body }: Listing): void {
  const shown = picked?.fault.kind === "OmitFromList" ? withoutKeys(body, picked.fault.key) : body;
  const bytes = Buffer.from(shown);
  entry.status = 200;
  entry.replyBytes = bytes.length;
  const framing = ["content-length", "transfer-encoding"];
  response.writeHead(200, [...withoutHeaders(headers, framing), "content-length", String(bytes.length)]).end(bytes);
}

async function refuse(exchange: Exchange, fault: Extract<Fault, { kind: "Answer" }>): Promise<void> {
  const { status: usual, message } = refusals[fault.code];
  const text = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${fault.code}</Code><Message>${message}</Message></Error>`;
  await answerInstead(exchange, { status: fault.status ?? usual, type: "application/xml", text });
}

const page = "<html><body>Nothing is served here.</body></html>";

async function answerInstead(
  { request, response, entry }: Exchange,
  { status, type, text }: { status: number; type: string; text: string },
): Promise<void> {
  await drain(request);
  const body = entry.method === "HEAD" ? "" : text;
  entry.status = status;
  entry.replyBytes = body.length;
  response.writeHead(status, { "content-type": type, "content-length": text.length }).end(body);
}

/** For the client its request is lost; the network still has it. */
async function arriveLate(exchange: Exchange): Promise<void> {
  const { picked, stopped, gate } = exchange;
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of onItsWay(exchange)) {
    size += piece.length;
    if (size > maxKeptBytes) throw new RangeError(`Cannot keep a request of more than ${maxKeptBytes} bytes`);
    pieces.push(piece);
  }
  reset(exchange);
  await picked?.released.passed(stopped);
  await gate.passed(stopped);
  await drain(await forward(exchange, asBody(pieces), stopped));
}

async function* asBody(pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* pieces;
}

async function drain(body: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of body);
}
