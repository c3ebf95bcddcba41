import { setTimeout as delay } from "node:timers/promises";
import type { Fault } from "./fault.ts";
import type { Gate } from "./gate.ts";

/** The proxy broke a connection on purpose. */
export class ConnectionCut extends Error {
  override readonly name = "ConnectionCut";
}

/** What happens to a body at one byte of it. */
export type BodyFault =
  | { readonly at: number; readonly act: "Cut" | "EndHere" | "FlipBit" }
  | { readonly at: number; readonly act: "Stall"; readonly ms: number };

/** What the fault does to the request's body. */
export function uploadFault(fault: Fault | undefined): BodyFault | undefined {
  if (fault?.kind === "StallUpload") return { at: fault.afterBytes, act: "Stall", ms: fault.ms };
  if (fault?.kind === "FlipUpload") return { at: fault.atByte, act: "FlipBit" };
  return fault?.kind === "CutUpload" ? { at: fault.afterBytes, act: "Cut" } : undefined;
}

/** What the fault does to the reply's body. */
export function downloadFault(fault: Fault | undefined): BodyFault | undefined {
  switch (fault?.kind) {
    case "StallDownload":
      return { at: fault.afterBytes, act: "Stall", ms: fault.ms };
    case "CutDownload":
      return { at: fault.afterBytes, act: "Cut" };
    case "ShortenDownload":
      return { at: fault.afterBytes, act: "EndHere" };
    case "FlipDownload":
      return { at: fault.atByte, act: "FlipBit" };
    default:
      return undefined;
  }
}

/** How a body is let through. */
export interface Passage {
  readonly fault: BodyFault | undefined;
  readonly gate: Gate;
  readonly signal: AbortSignal;
  /** Told of every piece that goes on. */
  readonly count: (bytes: number) => void;
}

/** The body as it goes on: piece by piece, held while the gate is shut, and with its fault. */
export async function* passed(pieces: AsyncIterable<Buffer>, passage: Passage): AsyncGenerator<Buffer> {
  let position = 0;
  for await (const piece of pieces) {
    for (const part of splitAt(piece, (passage.fault?.at ?? 0) - position)) {
      const whole = position === passage.fault?.at ? await befall(part, passage.fault, passage.signal) : part;
      await passage.gate.passed(passage.signal);
      const isPastEnd = passage.fault?.act === "EndHere" && position >= passage.fault.at;
      position += part.length;
      if (isPastEnd) continue;
      passage.count(whole.length);
      yield whole;
    }
  }
}

function splitAt(piece: Buffer, index: number): readonly Buffer[] {
  return index > 0 && index < piece.length ? [piece.subarray(0, index), piece.subarray(index)] : [piece];
}

async function befall(part: Buffer, fault: BodyFault, signal: AbortSignal): Promise<Buffer> {
  switch (fault.act) {
    case "Stall":
      await delay(fault.ms, undefined, { signal });
      return part;
    case "Cut":
      throw new ConnectionCut(`The connection was cut after ${fault.at} bytes`);
    case "FlipBit": {
      const changed = Buffer.from(part);
      changed[0] = (changed[0] ?? 0) ^ 1;
      return changed;
    }
    case "EndHere":
      return part;
  }
}
