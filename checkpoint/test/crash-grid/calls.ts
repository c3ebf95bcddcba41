/** One system call of a recorded trace: which, on which paths, as strace wrote it. */
export type Call = Readonly<{
  name: string;
  /** Absolute paths that it names or has open, in order. */
  paths: readonly string[];
  /** What stands between its brackets. */
  args: string;
  /** What it returned; negative for an error, null where the process ended in it. */
  result: number | null;
}>;

const whole = /^(\d+)\s+(\w+)\((.*)\)\s+= (-?\d+|\?)/;
const begun = /^(\d+)\s+(\w+)\((.*?)\s*<unfinished \.\.\.>$/;
const resumed = /^(\d+)\s+<\.\.\. \w+ resumed>(.*)$/;

/** The calls of a trace in the order in which they began; what strace wrote in two parts is put together. */
export function parseTrace(text: string): Call[] {
  const calls: Call[] = [];
  const open = new Map<string, { at: number; head: string }>();
  for (const line of text.split("\n")) {
    const unfinished = begun.exec(line);
    if (unfinished !== null) {
      const [, pid = "", name = "", head = ""] = unfinished;
      open.set(pid, { at: calls.length, head: `${pid} ${name}(${head}` });
      calls.push({ name, paths: pathsIn(head), args: head, result: null });
      continue;
    }
    const end = resumed.exec(line);
    const started = end === null ? undefined : open.get(end[1] ?? "");
    const [, , name = "", args = "", result = ""] = whole.exec(started ? `${started.head}${end?.[2]}` : line) ?? [];
    if (name === "") continue;
    const call = { name, paths: pathsIn(args), args, result: result === "?" ? null : Number(result) };
    if (started === undefined) calls.push(call);
    else calls[started.at] = call;
  }
  return calls;
}

/** Paths that the call names in quotes, and those of its descriptors; a name relative to a directory is put below it. */
function pathsIn(args: string): string[] {
  const found = [...args.matchAll(/(?:AT_FDCWD|\d+)<([^<>]*)>|"((?:[^"\\]|\\.)*)"/g)];
  return found.flatMap(([, descriptor, quoted]) => {
    const path = Buffer.from(bytesOf(descriptor ?? quoted ?? "")).toString();
    return path.startsWith("/") ? [path] : [];
  });
}

/** The bytes of a string as strace writes it with `-xx`, every one as `\xHH`; text without such is taken as it is. */
export function bytesOf(text: string): Uint8Array {
  if (!text.startsWith("\\x")) return new TextEncoder().encode(text);
  return Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (digits) => Number.parseInt(digits, 16));
}
