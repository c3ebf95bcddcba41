import { HashUnavailableError } from "./hash.ts";
import { UnknownRecordVersionError } from "./log/record.ts";
import { UnknownFormatError } from "./manifest.ts";

/** Whether nothing is wrong with what was read, and another release, or another machine, could understand it. */
export function isIncompatible(error: unknown): error is Error {
  return (
    error instanceof UnknownFormatError ||
    error instanceof UnknownRecordVersionError ||
    error instanceof HashUnavailableError
  );
}
