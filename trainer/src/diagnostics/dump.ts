import { askMainThread, type MainThread } from "./main-thread.ts";
import { describeTask, readTasks, type Task } from "./process-tasks.ts";

/** A thread that runs JavaScript answers within milliseconds, but not on a machine that is busy. */
const answerMs = 2_000;

/** Of Node's report, what says nothing about a standstill, is of this thread alone, or is nobody's business. */
const leftOut: readonly string[] = [
  ...["environmentVariables", "commandLine", "networkInterfaces", "cpus", "sharedObjects", "componentVersions"],
  ...["release", "javascriptStack", "javascriptHeap", "nativeStack", "libuv", "workers", "uvthreadResourceUsage"],
];

/** What this process is doing, in words for a person, the most telling first. To be called in another thread than the main one. */
export async function dumpOfProcess(): Promise<string> {
  // Before anything is asked of the main thread: being asked wakes it.
  const tasks = readTasks();
  const main = await askMainThread(answerMs);
  return [
    ...describeMain(main, tasks[0]),
    "",
    `Threads of process ${process.pid} (id, name, state, call):`,
    ...tasks.map((task) => `    ${describeTask(task)}`),
    "",
    `Node's report: ${report()}`,
    "",
  ].join("\n");
}

function describeMain(main: MainThread, task: Task | undefined): string[] {
  switch (main.kind) {
    case "Blocked": {
      const where = task?.call ? `: it waits in ${task.call}` : ", or not yet through with a call";
      return [`The thread that trains is blocked outside of JavaScript${where}.`];
    }
    case "Idle":
      return ["The thread that trains has nothing to do: what it awaits does not come."];
    case "Runs": {
      const call = task?.call ?? "";
      const waits = call === "" ? "is at" : `waits in ${call}, at`;
      const what = call === "epoll_wait" ? "awaits what does not come. What it ran next" : waits;
      const facts = main.facts === null ? [] : [`Its process: ${main.facts}`];
      return [`The thread that trains ${what}:`, ...main.stack.map((frame) => `    at ${frame}`), ...facts];
    }
  }
}

function report(): string {
  const text = JSON.stringify(process.report.getReport(), (name, value: unknown) =>
    leftOut.includes(name) ? undefined : value,
  );
  return text;
}
