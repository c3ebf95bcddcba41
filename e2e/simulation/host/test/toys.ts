import { randomUUID } from "node:crypto";
import { createServer, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { directoryName } from "@trainingrun/checkpoint/directory-name.ts";
import { appendRecord, appendRecordAfter } from "@trainingrun/checkpoint/log/append.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import type { RecordDraft } from "@trainingrun/checkpoint/log/record.ts";
import { RequestLimit } from "@trainingrun/operator/kubernetes/request-limit.ts";
import { WorkQueue } from "@trainingrun/operator/kubernetes/work-queue.ts";
import { digestOf } from "../../../../checkpoint/test/log-builder.ts";
import { SharedDisk } from "../../../../checkpoint/test/model/shared-disk.ts";
import { Network } from "../network.ts";
import { NetworkDispatcher } from "../network-dispatcher.ts";
import { SimProcess } from "../process.ts";
import { Scheduler } from "../scheduler.ts";
import { Trace } from "../trace.ts";

/** What one play of the toys came to. */
export type ToyPlay = Readonly<{ hash: string; lines: readonly string[]; now: number; records: number }>;

export const port = 8080;

/** A few processes that use a bit of everything, one of which is killed and one of which stands still for a while. */
export async function playToys(seed: number | string, { keep = 0 }: { keep?: number } = {}): Promise<ToyPlay> {
  const scheduler = new Scheduler({ seed, noise: { share: 0.3, longestMs: 20 }, trace: new Trace({ keep }) });
  const network = new Network(() => ({ kind: "arrives", afterMs: 1 }));
  const disk = new SharedDisk();
  const begin = (name: string, ip: string, main: (process: SimProcess) => Promise<unknown>) => {
    const process = new SimProcess(scheduler, { name, skewMs: scheduler.chance.draw("skew", name, 0) * 5_000 });
    network.join(process, ip);
    process.start(() => main(process));
    return process;
  };
  const server = begin("server", "10.0.0.1", serve);
  const doomed = begin("doomed", "10.0.0.2", askByDispatcher);
  begin("asker", "10.0.0.3", askByDispatcher);
  begin("plain", "10.0.0.4", askPlainly);
  begin("queue", "10.0.0.5", workThroughQueue);
  begin("limited", "10.0.0.6", pressOnLimit);
  for (const index of [0, 1, 2]) begin(`writer-${index}`, `10.0.1.${index}`, (process) => append(process, disk, index));
  const { world } = scheduler;
  scheduler.after(world, 200 + scheduler.chance.draw("faults", "kill", 0) * 200, () => doomed.kill("by the plan"));
  scheduler.after(world, 300 + scheduler.chance.draw("faults", "pause", 0) * 100, () => server.pause());
  scheduler.after(world, 700, () => server.thaw());
  scheduler.after(world, 5_000, () => server.terminate());
  await scheduler.stepUntil(() => false, { untilMs: 60_000 });
  return { hash: scheduler.trace.hash, lines: scheduler.trace.lines, now: scheduler.now, records: disk.records.size };
}

async function serve(process: SimProcess): Promise<string> {
  let asked = 0;
  const server = createServer((incoming, response) => {
    asked += 1;
    incoming.resume();
    void pause(Math.random() * 60).then(() => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ asked, id: randomUUID(), at: Date.now(), path: incoming.url }));
    });
  });
  await new Promise<void>((resolve) => server.listen({ host: "0.0.0.0", port }, resolve));
  const ticking = setInterval(() => console.log(`asked ${asked} times`), 150);
  await new Promise<void>((resolve) => process.stop.addEventListener("abort", () => resolve()));
  clearInterval(ticking);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return "stopped";
}

async function askByDispatcher(): Promise<void> {
  const dispatcher = new NetworkDispatcher();
  for (let question = 0; question < 20; question += 1) {
    await pause(Math.random() * 40);
    try {
      const signal = AbortSignal.any([new AbortController().signal, AbortSignal.timeout(45)]);
      const answer = await dispatcher.request({
        origin: `http://10.0.0.1:${port}`,
        path: `/d/${question}`,
        method: "GET",
        signal,
      });
      console.log(answer.statusCode, await answer.body.text());
    } catch (error) {
      console.log(`no answer: ${String(error)}`);
    }
  }
}

async function askPlainly(): Promise<void> {
  for (let question = 0; question < 20; question += 1) {
    await pause(20);
    const text = await new Promise<string>((resolve) => {
      const sent = request({ host: "10.0.0.1", port, path: `/p/${question}`, timeout: 100 }, (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (piece: string) => {
          body += piece;
        });
        response.on("end", () => resolve(`${response.statusCode} ${body}`));
      });
      sent.on("timeout", () => sent.destroy(new Error("nothing moved")));
      sent.on("error", (error) => resolve(`failed: ${error.message}`));
      sent.end();
    });
    console.log(text);
  }
}

async function workThroughQueue(): Promise<void> {
  const queue = new WorkQueue({ firstMs: 10, maxMs: 500, random: Math.random });
  const tries = new Map<string, number>();
  for (const key of ["a", "b", "c", "d"]) queue.add(key);
  const work = async () => {
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      const tried = (tries.get(key) ?? 0) + 1;
      tries.set(key, tried);
      await pause(Math.random() * 10);
      if (tried < 5) queue.addBackedOff(key);
      console.log(`${key} tried ${tried} times at ${performance.now()}`);
      queue.done(key);
    }
  };
  const workers = [work(), work()];
  await pause(4_000);
  await queue.shutDown();
  await Promise.all(workers);
}

async function pressOnLimit(): Promise<void> {
  const limit = new RequestLimit({ perSecond: 20, burst: 5, inFlight: 3 });
  const { signal } = new AbortController();
  const ask = async (index: number) => {
    const slot = await limit.acquire(signal);
    console.log(`${index} begins at ${performance.now()}`);
    await pause(Math.random() * 200);
    slot.release();
  };
  await Promise.all(Array.from({ length: 30 }, (_, index) => ask(index)));
}

async function append(process: SimProcess, disk: SharedDisk, index: number): Promise<void> {
  const store = disk.view("0b6f1c1e-7f3c-4c52-9d2e-3f1f3f0d9a11", async (act) => process.hesitate(act));
  if (index === 0) {
    const open = { kind: "open", attempt: 1, podUid: "pod", node: "n", base: null, generation: 1 } as const;
    await appendRecordAfter(store, open, { after: 0 });
  }
  while ((await readLog(store)).state.opened === null) await pause(5);
  for (let number = 0; number < 10; number += 1) {
    const step = 10 * number + index + 1;
    const place = { manifest: digestOf(step, 1), directory: directoryName(step, 1) };
    const commit: RecordDraft = { kind: "commit", attempt: 1, step, ...place, bytes: 1, metrics: [], unhealthy: false };
    const outcome = await appendRecord(store, commit);
    console.log(outcome.kind === "appended" ? `wrote ${outcome.number}` : outcome.message);
  }
}
