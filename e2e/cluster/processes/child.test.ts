import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ComponentFailed, startChild, waitFor } from "./child.ts";
import { identify, isAlive } from "./process-identity.ts";

const directory = mkdtempSync(join(tmpdir(), "trainingrun-child-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function shell(name: string, script: string) {
  return startChild({ name, command: "sh", args: ["-c", script], logPath: join(directory, `${name}.log`) });
}

async function hasWritten(name: string, text: string): Promise<boolean> {
  return readFileSync(join(directory, `${name}.log`), "utf8").includes(text);
}

describe("a part of the cluster", () => {
  it("is ended by SIGTERM and then gone", async () => {
    const child = shell("obedient", "exec sleep 600");
    await child.stop();
    expect([child.ending(), isAlive(child.identity)]).toEqual(["SIGTERM", false]);
  });

  it("is killed when it does not heed SIGTERM", async () => {
    const child = shell("stubborn", "trap '' TERM; echo ready; while :; do sleep 1; done");
    await waitFor(child, { what: "its word", probe: () => hasWritten("stubborn", "ready"), timeoutMs: 10_000 });
    await child.stop(100);
    expect([child.ending(), isAlive(child.identity)]).toEqual(["SIGKILL", false]);
  });

  it("that ends while it is waited for fails with its last words", async () => {
    const child = shell("brief", "echo no such etcd; exit 3");
    const wait = waitFor(child, { what: "readiness", probe: async () => false, timeoutMs: 10_000 });
    await expect(wait).rejects.toThrow(ComponentFailed);
    await expect(wait).rejects.toThrow(/waited for readiness, but it ended with exit code 3[\s\S]*no such etcd/);
  });

  it("that has ended is not taken for ready because another answers in its place", async () => {
    const child = shell("displaced", "echo address already in use; exit 1");
    await expect.poll(() => child.ending()).toBe("exit code 1");
    const wait = waitFor(child, { what: "its port", probe: async () => true, timeoutMs: 10_000 });
    await expect(wait).rejects.toThrow(/waited for its port, but it ended with exit code 1[\s\S]*already in use/);
  });

  it("that never gets ready fails when the time is up, and still runs", async () => {
    const child = shell("slow", "exec sleep 600");
    const wait = waitFor(child, { what: "readiness", probe: async () => false, timeoutMs: 100 });
    await expect(wait).rejects.toThrow("waited for readiness, but nothing after 0.1 s");
    expect(isAlive(child.identity)).toBe(true);
    await child.stop();
  });

  it.each(["SIGTERM", "SIGINT", "SIGKILL"] as const)(
    "dies when the process that started it gets %s",
    async (signal) => {
      const script = `
      import { startChild } from ${JSON.stringify(join(import.meta.dirname, "child.ts"))};
      const child = startChild({ name: "part", command: "sleep", args: ["600"], logPath: ${JSON.stringify(join(directory, "part.log"))} });
      console.log(child.identity.pid);
      setInterval(() => {}, 1000);
    `;
      const parent = spawn(process.execPath, ["--input-type=module", "--eval", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [line] = await once(parent.stdout, "data");
      const part = identify(Number(String(line).trim()));
      expect(part).toBeDefined();
      // Between its start and its first act the part is not tied to its parent yet.
      await expect.poll(() => readFileSync(`/proc/${part?.pid}/comm`, "utf8").trim()).toBe("sleep");
      parent.kill(signal);
      await once(parent, "exit");
      await expect.poll(() => part !== undefined && isAlive(part), { timeout: 10_000 }).toBe(false);
    },
  );
});
