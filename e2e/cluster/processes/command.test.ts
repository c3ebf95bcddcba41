import { expect, it } from "vitest";
import { CommandFailed, run, succeeds } from "./command.ts";

it.each([
  {
    sentence: "says what to do when the command is not installed",
    command: "no-such-command",
    args: [],
    error: "`make setup` installs",
  },
  {
    sentence: "shows the last words of one that fails",
    command: "sh",
    args: ["-c", "echo no disk >&2; exit 3"],
    error: /it ended with 3\n {2}\| no disk/,
  },
  { sentence: "ends one that takes too long", command: "sleep", args: ["600"], error: "it ran for more than 0.2 s" },
])("$sentence", async ({ command, args, error }) => {
  const running = run(command, args, { timeoutMs: command === "sleep" ? 200 : 30_000 });
  await expect(running).rejects.toThrow(CommandFailed);
  await expect(running).rejects.toThrow(error);
});

it("gives what was written, and ends with its caller's signal", async () => {
  expect(await run("cat", [], { input: "text" })).toBe("text");
  const caller = new AbortController();
  const running = run("sleep", ["600"], { signal: caller.signal });
  caller.abort(new Error("Cannot go on because of SIGINT"));
  await expect(running).rejects.toThrow("because of SIGINT");
  expect([await succeeds("true", []), await succeeds("false", [])]).toEqual([true, false]);
});
