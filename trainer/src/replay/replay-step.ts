import { canonicalJson } from "@trainingrun/checkpoint/canonical-json.ts";
import { Digest, Step } from "@trainingrun/checkpoint/contract/digest.ts";
import { hashBytes } from "@trainingrun/checkpoint/hash.ts";
import { z } from "zod";

/** What a step came to: its loss, and the weights that it left. Two steps that are equal here are equal to the last bit. */
export const ReplayStep = z.object({
  step: Step,
  /** The bits of the loss as a 64-bit float, in hexadecimal. */
  loss: z.string().regex(/^[0-9a-f]{16}$/),
  weights: Digest,
});
export type ReplayStep = z.infer<typeof ReplayStep>;

/** The first line of a recording: the steps below follow on this checkpoint, and that attempt computed them. */
export const ReplayHeading = z.object({
  version: z.literal(1),
  checkpoint: Digest,
  step: Step,
  attempt: z.int().min(1),
});
export type ReplayHeading = z.infer<typeof ReplayHeading>;

/** Enough hexadecimal digits of a digest that no damaged line passes for a whole one by chance. */
const checkLength = 16;
const newline = "\n";

/** A heading or a step as a line that proves itself: a line cut short or damaged is told from another result. */
export function formatLine(content: ReplayHeading | ReplayStep): string {
  return `${canonicalJson({ ...content, check: checkOf(content) })}${newline}`;
}

/** The content of a line, or null where it is none that was written so. */
export function parseLine<Content extends ReplayHeading | ReplayStep>(
  line: string,
  schema: z.ZodType<Content>,
): Content | null {
  const parsed = schema.safeParse(fromJson(line));
  if (!parsed.success) return null;
  return `${line}${newline}` === formatLine(parsed.data) ? parsed.data : null;
}

/** All ways of being no number count as one: which of their bits are set follows from nothing that training does. */
export function bitsOf(loss: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, 0x7ff8_0000_0000_0000n);
  if (!Number.isNaN(loss)) view.setFloat64(0, loss);
  return view.getBigUint64(0).toString(16).padStart(16, "0");
}

/** The number that has these bits. */
export function lossOf(bits: string): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(`0x${bits}`));
  return view.getFloat64(0);
}

function checkOf(content: ReplayHeading | ReplayStep): string {
  const digest = hashBytes(new TextEncoder().encode(canonicalJson(content)), "sha256");
  return digest.slice(-checkLength);
}

function fromJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
