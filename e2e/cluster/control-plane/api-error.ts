import { z } from "zod";

/** No answer came from the API server: it is not there, or the connection broke. The request may or may not have been done. */
export class ApiUnreachable extends Error {
  override readonly name = "ApiUnreachable";

  constructor({ method, path }: { method: string; path: string }, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(`Cannot ${method} ${path} because no whole answer came from the API server: ${why}`, { cause });
  }
}

/** The API server answered, and the answer is no. */
export class ApiRefused extends Error {
  override readonly name = "ApiRefused";
  readonly status: number;
  /** One word for it, in the API server's own vocabulary; empty where it gave none. */
  readonly reason: string;

  constructor(what: string, status: number, body: unknown) {
    const answer = StatusBody.safeParse(body).data;
    const why = answer?.message ?? (typeof body === "string" ? body : JSON.stringify(body)).slice(0, 300);
    super(`Cannot ${what} because the API server answered ${status}: ${why}`);
    this.status = status;
    this.reason = answer?.reason ?? "";
  }
}

const StatusBody = z.object({ message: z.string().optional(), reason: z.string().optional() });

/** Whether an error says that the object is not there. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiRefused && error.status === 404;
}

/** Whether an error says that the object is already there. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiRefused && error.status === 409;
}

/**
 * Whether an error says that the object of this name is another one now: a delete with a uid precondition is refused as
 * a conflict then, and a patch that carries the old uid as an attempt to change the uid.
 */
export function isOtherObject(error: unknown): boolean {
  if (!(error instanceof ApiRefused)) return false;
  const isOtherUid = error.status === 409 && error.message.includes("UID in precondition");
  return isOtherUid || (error.status === 422 && error.message.includes("metadata.uid"));
}
