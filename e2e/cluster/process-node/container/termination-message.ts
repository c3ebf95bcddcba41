import { open } from "node:fs/promises";

const messageBytes = 4_096;
const logBytes = 2_048;
const logLines = 80;

/** What a container has to say about its end: its message file, or where it wants that, the end of its log. */
export async function terminationMessage(options: {
  readonly messagePath: string;
  readonly logPath: string;
  readonly fallsBackToLog: boolean;
}): Promise<string> {
  const message = await readEnd(options.messagePath, { bytes: messageBytes, from: "start" });
  if (message !== "" || !options.fallsBackToLog) return message;
  const log = await readEnd(options.logPath, { bytes: logBytes, from: "end" });
  const endsLine = log.endsWith("\n") ? 1 : 0;
  return log
    .split("\n")
    .slice(-logLines - endsLine)
    .join("\n");
}

/** Cuts a message to what is left for it where all containers of a pod share 12 KiB. */
export function cutMessage(message: string, containers: number): string {
  const limit = Math.floor((12 * 1_024) / Math.max(containers, 1));
  const bytes = Buffer.from(message);
  return bytes.length <= limit ? message : bytes.subarray(0, limit).toString("utf8");
}

async function readEnd(path: string, part: { bytes: number; from: "start" | "end" }): Promise<string> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, "r");
  } catch {
    // A container need not leave a message, nor a log.
    return "";
  }
  try {
    const { size } = await file.stat();
    const start = part.from === "start" ? 0 : Math.max(0, size - part.bytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(part.bytes), 0, part.bytes, start);
    return buffer.subarray(0, bytesRead).toString("utf8");
  } finally {
    await file.close();
  }
}
