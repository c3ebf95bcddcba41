/** How loud a line is. */
export type LogLevel = "info" | "warn" | "error";

/** Writes one line about one event. `fields` name the object it is about. */
export type Log = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;

/** A log of JSON lines. Errors among the fields are shown by their words, not their stack. */
export function jsonLog(write: (line: string) => void, now: () => Date = () => new Date()): Log {
  return (level, message, fields) => {
    const shown = Object.entries(fields ?? {}).map(([name, value]) => [
      name,
      value instanceof Error ? value.message : value,
    ]);
    write(`${JSON.stringify({ time: now().toISOString(), level, message, ...Object.fromEntries(shown) })}\n`);
  };
}
