import { type Debugger, Session } from "node:inspector";
import { setTimeout as sleep } from "node:timers/promises";

/** What the thread that runs the script does: `Idle` answers and runs nothing, `Blocked` answers nothing. */
export type MainThread =
  | { readonly kind: "Runs"; readonly stack: readonly string[]; readonly facts: string | null }
  | { readonly kind: "Idle" }
  | { readonly kind: "Blocked" };

/** A script may be its own address, whole. */
const longestUrl = 160;

/** Asked of the thread while it is paused: cheap, and of nothing that waits for another thread. */
const factsExpression = `JSON.stringify({
  waitsFor: globalThis.process.getActiveResourcesInfo(),
  memory: globalThis.process.memoryUsage(),
  cpuMicroseconds: globalThis.process.cpuUsage(),
})`;

/**
 * From another thread of the process: stops the main thread in the middle of whatever JavaScript it runs, a loop without
 * end too, reads its stack, and lets it go on. What it is blocked in outside of JavaScript cannot be interrupted so.
 */
export async function askMainThread(limitMs: number): Promise<MainThread> {
  const session = new Session();
  session.connectToMainThread();
  try {
    const paused = Promise.withResolvers<Debugger.PausedEventDataType>();
    session.once("Debugger.paused", ({ params }) => paused.resolve(params));
    const urls = new Map<string, string>();
    session.on("Debugger.scriptParsed", ({ params: { scriptId, url } }) => urls.set(scriptId, url));
    let answers = false;
    session.post("Debugger.enable", () => {
      answers = true;
      session.post("Debugger.pause");
    });
    const pause = await within(limitMs, paused.promise);
    if (pause === null) return { kind: answers ? "Idle" : "Blocked" };
    const facts = await within(limitMs, factsAt(session, pause));
    session.post("Debugger.resume");
    return { kind: "Runs", stack: pause.callFrames.map((frame) => describeFrame(frame, urls)), facts };
  } finally {
    // A thread that hears of all this only later goes on at once.
    session.disconnect();
  }
}

function factsAt(session: Session, { callFrames: [top] }: Debugger.PausedEventDataType): Promise<string | null> {
  if (top === undefined) return Promise.resolve(null);
  const question = { callFrameId: top.callFrameId, expression: factsExpression, returnByValue: true, silent: true };
  return new Promise((resolve) => {
    const take = (error: Error | null, answer: Debugger.EvaluateOnCallFrameReturnType) => {
      const value: unknown = error === null ? answer.result.value : null;
      resolve(typeof value === "string" ? value : null);
    };
    session.post("Debugger.evaluateOnCallFrame", question, take);
  });
}

function describeFrame({ functionName, location }: Debugger.CallFrame, urls: ReadonlyMap<string, string>): string {
  const url = urls.get(location.scriptId) || "script";
  const at = `${url.length > longestUrl ? `${url.slice(0, longestUrl)}…` : url}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1}`;
  return functionName === "" ? at : `${functionName} (${at})`;
}

async function within<T>(limitMs: number, promise: Promise<T>): Promise<T | null> {
  const end = new AbortController();
  try {
    return await Promise.race([promise, sleep(limitMs, null, { signal: end.signal })]);
  } finally {
    end.abort();
  }
}
