import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, it } from "vitest";
import { LockTimeout, tryHold, withLock } from "./lock.ts";

const options = { timeoutMs: 10_000, report: () => {} };

function uniqueName(): string {
  return `a test's ${crypto.randomUUID()}`;
}

/** Another process that holds a lock until it is killed. */
async function startHolder(name: string) {
  const script = `
    import { tryHold } from ${JSON.stringify(join(import.meta.dirname, "lock.ts"))};
    await tryHold(${JSON.stringify(name)});
    console.log("held");
    setInterval(() => {}, 1000);
  `;
  const holder = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(holder.stdout, "data");
  return holder;
}

it("lets one work at a time", async () => {
  const name = uniqueName();
  const events: string[] = [];
  const first = Promise.withResolvers<void>();
  const one = withLock(name, options, async () => {
    events.push("first begins");
    await first.promise;
    events.push("first ends");
  });
  const two = withLock(name, { ...options, report: () => first.resolve() }, async () => {
    events.push("second begins");
  });
  await Promise.all([one, two]);
  expect(events).toEqual(["first begins", "first ends", "second begins"]);
});

it("is given back when the work fails", async () => {
  const name = uniqueName();
  const failure = withLock(name, options, async () => Promise.reject(new Error("no space")));
  await expect(failure).rejects.toThrow("no space");
  await expect(withLock(name, options, async () => "done")).resolves.toBe("done");
});

it("keeps different names apart", async () => {
  const [one, other] = [await tryHold(uniqueName()), await tryHold(uniqueName())];
  expect([one, other]).not.toContain(undefined);
  one?.release();
  other?.release();
});

it("goes on to whoever waits when its holder is killed, and names the holder meanwhile", async () => {
  const name = uniqueName();
  const holder = await startHolder(name);
  const said: string[] = [];
  const report = (line: string) => {
    said.push(line);
    holder.kill("SIGKILL");
  };
  await expect(withLock(name, { ...options, report }, async () => "done")).resolves.toBe("done");
  expect(said).toEqual([`Waiting for process ${holder.pid}, which holds ${name}`]);
});

it("goes to only one of many that wait for a holder that is killed", async () => {
  const name = uniqueName();
  const holder = await startHolder(name);
  let working = 0;
  let most = 0;
  const all = Array.from({ length: 20 }, () =>
    withLock(name, { ...options, report: () => holder.kill("SIGKILL") }, async () => {
      working += 1;
      most = Math.max(most, working);
      await new Promise(setImmediate);
      working -= 1;
    }),
  );
  await Promise.all(all);
  expect(most).toBe(1);
});

it("is not waited for longer than asked", async () => {
  const name = uniqueName();
  const hold = await tryHold(name);
  const wait = withLock(name, { ...options, timeoutMs: 200 }, async () => "done");
  await expect(wait).rejects.toThrow(LockTimeout);
  await expect(wait).rejects.toThrow(`Cannot lock ${name}: process ${process.pid} has held it for 0.2 s`);
  hold?.release();
});

it("is not waited for any longer when its caller gives up", async () => {
  const name = uniqueName();
  const hold = await tryHold(name);
  const caller = new AbortController();
  const report = () => caller.abort(new Error("Cannot go on because of SIGINT"));
  const wait = withLock(name, { ...options, report, signal: caller.signal }, async () => "done");
  await expect(wait).rejects.toThrow("Cannot go on because of SIGINT");
  hold?.release();
});
