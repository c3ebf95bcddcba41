import { isAbsolute } from "node:path";
import type { z } from "zod";

/** The agent was started without the variables that the operator gives it; the message names each one. */
export class EnvironmentError extends Error {
  override name = "EnvironmentError";
}

const paths = [
  "TRAININGRUN_CHECKPOINTS",
  "TRAININGRUN_RESUME",
  "TRAININGRUN_CONTROL",
  "TRAININGRUN_TERMINATION_LOG",
  "TRAININGRUN_CREDENTIALS",
] as const;

/** Parses a command's variables, or throws one {@link EnvironmentError} that lists everything wrong with them. */
export function readEnvironment<S extends z.ZodType>(
  schema: S,
  variables: Readonly<Record<string, string | undefined>>,
): z.output<S> {
  // An empty variable is what a template leaves behind when a value was not set; a number must not become 0 by it.
  const present = Object.fromEntries(Object.entries(variables).filter(([, value]) => value));
  const parsed = schema.safeParse(present);
  const complaints = new Map<string, string>();
  for (const issue of parsed.error?.issues ?? []) {
    const [name, ...inside] = issue.path.map(String);
    const at = inside.length > 0 ? `.${inside.join(".")}` : "";
    const what = present[String(name)] === undefined ? "is not set" : `${at} ${issue.message}`.trim();
    if (!complaints.has(String(name))) complaints.set(String(name), what);
  }
  for (const name of paths) {
    const value = present[name];
    if (value && !isAbsolute(value)) complaints.set(name, `must be an absolute path: ${value}`);
  }
  if (!parsed.success || complaints.size > 0) {
    const list = [...complaints].map(([name, what]) => `${name} ${what}`).join("; ");
    throw new EnvironmentError(
      `Cannot start because the pod's variables must be those the operator sets, and ${complaints.size} are not: ${list}`,
    );
  }
  return parsed.data;
}
