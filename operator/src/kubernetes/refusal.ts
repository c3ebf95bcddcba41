import type { Dispatcher } from "undici";
import { ApiError, type Attempted } from "./api-error.ts";
import { type StatusCause, unknownFieldsOf, unknownFieldWords } from "./unknown-fields.ts";

/** The error for an answer that is none of success. */
export function refusal(
  answer: Pick<Dispatcher.ResponseData, "statusCode" | "headers">,
  body: string,
  attempted: Attempted,
): ApiError {
  const status = statusOf(body);
  const header = answer.headers["retry-after"];
  const unknownFields = unknownFieldsOf(status.causes ?? []);
  const words = unknownFields.length > 0 ? unknownFieldWords(unknownFields) : (status.message ?? body);
  return new ApiError(attempted, {
    status: answer.statusCode,
    reason: status.reason ?? "",
    detail: words.slice(0, 2048),
    retryAfterMs: retryAfter(typeof header === "string" ? header : undefined, status.retryAfterSeconds),
    fields: (status.causes ?? []).flatMap(({ field }) => field ?? []),
    unknownFields,
  });
}

type StatusWords = { reason?: string; message?: string; retryAfterSeconds?: number; causes?: readonly StatusCause[] };

function statusOf(body: string): StatusWords {
  try {
    const parsed = JSON.parse(body) as {
      kind?: string;
      reason?: string;
      message?: string;
      details?: { retryAfterSeconds?: number; causes?: readonly StatusCause[] };
    };
    if (parsed?.kind !== "Status") return {};
    const { reason, message, details } = parsed;
    return {
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
      ...(details?.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: details.retryAfterSeconds }),
      causes: details?.causes ?? [],
    };
  } catch {
    return {};
  }
}

function retryAfter(header: string | undefined, seconds: number | undefined): number | undefined {
  const fromHeader = header === undefined ? Number.NaN : Number(header);
  if (Number.isFinite(fromHeader) && fromHeader >= 0) return fromHeader * 1000;
  return seconds === undefined ? undefined : seconds * 1000;
}
