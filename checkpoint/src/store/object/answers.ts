import type { IncomingMessage } from "node:http";

/** An answer whose status is good and whose content is not: an error inside it, or fewer bytes than it speaks of. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
  /** The store's word for it, or one of ours. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Our own word for a body that ended too early without an error of the connection: a middlebox cut it. */
export const incomplete = "IncompleteAnswer";

const maxTextBytes = 16 * 1024 * 1024;

/** Reads an answer to its end, so that its connection can be used again. */
export async function drain(answer: IncomingMessage): Promise<void> {
  for await (const _ of answer);
}

/** The whole answer as text; no answer that is text has more than a few hundred KiB. */
export async function textOf(answer: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    bytes += piece.byteLength;
    if (bytes > maxTextBytes) throw new AnswerError("AnswerTooLong", `its text has more than ${maxTextBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** Fills `target` from the answer to a request for a range from `position` on; returns how much there was. */
export async function fillFrom(answer: IncomingMessage, target: Uint8Array, position: number): Promise<number> {
  let filled = 0;
  for await (const piece of rangeOf(answer, position)) {
    const some = piece.subarray(0, target.byteLength - filled);
    target.set(some, filled);
    filled += some.byteLength;
    // More than was asked for: only from a store that ignores ranges. Ending early costs the connection.
    if (some.byteLength < piece.byteLength) break;
  }
  return filled;
}

/** The range as bytes of its own, at most `limit`. */
export async function bytesOf(answer: IncomingMessage, limit: number): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of rangeOf(answer, 0)) {
    pieces.push(piece);
    bytes += piece.byteLength;
    if (bytes > limit) break;
  }
  return new Uint8Array(Buffer.concat(pieces).subarray(0, limit));
}

/** The bytes from `position` on. Throws {@link AnswerError} where the answer says that there are more than came. */
async function* rangeOf(answer: IncomingMessage, position: number): AsyncGenerator<Buffer> {
  const [, from, to] = /^bytes (\d+)-(\d+)\//.exec(answer.headers["content-range"] ?? "") ?? [];
  if (answer.statusCode === 206 && from !== undefined && Number(from) !== position) {
    throw new AnswerError(incomplete, `it begins at byte ${from} and not at ${position}`);
  }
  // A store that ignores ranges answers with the whole object.
  let skip = answer.statusCode === 200 ? position : 0;
  let bytes = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    bytes += piece.byteLength;
    const wanted = piece.subarray(Math.min(skip, piece.byteLength));
    skip -= piece.byteLength - wanted.byteLength;
    if (wanted.byteLength > 0) yield wanted;
  }
  // Node compares the body with its announced length; whoever cut it may have changed that as well.
  const announced = to === undefined ? bytes : Number(to) - Number(from) + 1;
  if (bytes !== announced) throw new AnswerError(incomplete, `only ${bytes} of ${announced} bytes came`);
}
