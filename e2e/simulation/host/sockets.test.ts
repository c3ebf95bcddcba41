import { createServer, request, type Server } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { installHost } from "./install.ts";
import { type Fate, type Journey, type Listener, Network } from "./network.ts";
import { NetworkDispatcher } from "./network-dispatcher.ts";
import type { SimProcess } from "./process.ts";
import { Stage } from "./test/stage.ts";

installHost();

const arrives = { kind: "arrives", afterMs: 2 } as const;

/** A server that echoes what it was asked, after a while. */
async function echo({ stop }: SimProcess, { port = 80, delayMs = 10 } = {}): Promise<void> {
  const server = createServer((incoming, response) => {
    const pieces: Buffer[] = [];
    incoming.on("data", (piece: Buffer) => pieces.push(piece));
    incoming.on("end", () => {
      setTimeout(() => {
        const body = `${incoming.method} ${incoming.url} ${Buffer.concat(pieces)}`;
        response.writeHead(203, { "Content-Type": "text/plain", "content-length": Buffer.byteLength(body) });
        response.end(body);
      }, delayMs);
    });
  });
  await listen(server, port);
  await new Promise((resolve) => stop.addEventListener("abort", resolve));
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: "0.0.0.0", port }, resolve);
  });
}

type Ask = (path: string, options?: { body?: string; deadlineMs?: number }) => Promise<string>;

/** Through `undici`, as the operator asks agents. */
const byDispatcher: Ask = async (path, { body, deadlineMs = 1_000 } = {}) => {
  const method = body === undefined ? "GET" : "PUT";
  const options = { origin: "http://10.0.0.1:80", path, method, signal: AbortSignal.timeout(deadlineMs) } as const;
  try {
    const answer = await new NetworkDispatcher().request(body === undefined ? options : { ...options, body });
    return `${answer.statusCode} ${answer.headers["content-type"]} ${await answer.body.text()}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

/** Through `node:http`, as the client of an object store asks. */
const byNode: Ask = (path, { body, deadlineMs = 1_000 } = {}) =>
  new Promise((resolve) => {
    const method = body === undefined ? "GET" : "PUT";
    const signal = AbortSignal.timeout(deadlineMs);
    const sent = request({ protocol: "http:", host: "10.0.0.1", port: 80, path, method, signal }, (response) => {
      let text = `${response.statusCode} ${response.headers["content-type"]} `;
      response.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      response.on("end", () => resolve(text));
      response.on("error", (error) => resolve(messageOf(error)));
    });
    sent.on("error", (error) => resolve(messageOf(error)));
    sent.end(body);
  });

/** What ended it: an abort carries its reason. */
function messageOf({ message, cause }: Error): string {
  return cause instanceof Error ? cause.message : message;
}

const faces: [face: string, ask: Ask][] = [
  ["undici", byDispatcher],
  ["node:http", byNode],
];

/** One client asks the echo over a network that treats messages so; what it got, and when. */
async function asking(
  ask: Ask,
  fate: (journey: Journey) => Fate = () => arrives,
  act: (server: SimProcess, stage: Stage) => void = () => {},
) {
  const stage = new Stage({ network: new Network(fate) });
  const server = stage.start("server", echo);
  let got = "";
  stage.start("client", async () => {
    await pause(5);
    got = `${await ask("/path?a=1")} at ${stage.scheduler.now}`;
  });
  act(server, stage);
  await stage.play();
  return got;
}

describe.each(faces)("a request over %s", (_, ask) => {
  test("reaches the server and is answered, each way an event", async () => {
    expect(await asking(ask)).toBe("203 text/plain GET /path?a=1  at 19");
  });

  test("carries a body", async () => {
    const stage = new Stage();
    stage.start("server", echo);
    let got = "";
    stage.start("client", async () => {
      await pause(5);
      got = await ask("/", { body: "some text" });
    });
    await stage.play();
    expect(got).toBe("203 text/plain PUT / some text");
  });

  const deadline = "The operation was aborted due to timeout at 1005";
  const fates: [what: string, fate: Record<Journey["what"], Fate>, got: string | RegExp][] = [
    ["is lost", { request: { kind: "lost" }, answer: arrives, hangup: arrives }, deadline],
    [
      "is refused",
      { request: { kind: "refused", afterMs: 3 }, answer: arrives, hangup: arrives },
      "connect ECONNREFUSED 10.0.0.1:80 at 8",
    ],
    ["is reset", { request: { kind: "reset", afterMs: 3 }, answer: arrives, hangup: arrives }, "socket hang up at 8"],
    ["loses its answer", { request: arrives, answer: { kind: "lost" }, hangup: arrives }, deadline],
    [
      "has its answer reset",
      { request: arrives, answer: { kind: "reset", afterMs: 4 }, hangup: arrives },
      "socket hang up at 21",
    ],
    [
      "has its answer broken off",
      { request: arrives, answer: { kind: "cut", afterMs: 4, bytes: 3, next: "reset" }, hangup: arrives },
      "socket hang up at 21",
    ],
    [
      "has its answer stopped half way",
      { request: arrives, answer: { kind: "cut", afterMs: 4, bytes: 3, next: "silence" }, hangup: arrives },
      deadline,
    ],
  ];
  test.each(fates)("that %s ends as it would in life", async (__, fate, got) => {
    expect(await asking(ask, ({ what }) => fate[what])).toBe(got);
  });

  test("that is answered with less than is said of it has no answer", async () => {
    const stage = new Stage();
    const headers = { "Content-Length": "10" };
    stage.network.join(stage.scheduler.world, "10.0.0.1");
    const take: Listener["take"] = (_asked, answer) => answer({ status: 200, headers, body: Buffer.from("short") });
    stage.network.listen(80, { process: stage.scheduler.world, take });
    let got = "";
    stage.start("client", async () => {
      got = await ask("/");
    });
    await stage.play();
    expect(got).toBe("socket hang up");
  });

  test("to a server that dies is reset, and not where the whole machine is gone", async () => {
    const dies = (server: SimProcess, stage: Stage) => stage.at(10, () => server.kill("crash"));
    expect(await asking(ask, () => arrives, dies)).toBe("socket hang up at 12");
    expect(await asking(ask, ({ what }) => (what === "hangup" ? { kind: "lost" } : arrives), dies)).toMatch(
      / at 1005$/,
    );
  });

  test("to a server that stands still is answered when it goes on", async () => {
    const freezes = (server: SimProcess, stage: Stage) => {
      stage.at(6, () => server.pause());
      stage.at(500, () => server.thaw());
    };
    expect(await asking(ask, () => arrives, freezes)).toBe("203 text/plain GET /path?a=1  at 512");
  });

  test("of a client that dies in asking never leaves it", async () => {
    const stage = new Stage();
    const asked: string[] = [];
    stage.network.join(stage.scheduler.world, "10.0.0.1");
    stage.network.listen(80, { process: stage.scheduler.world, take: ({ path }) => asked.push(path) });
    const client = stage.start("client", async () => {
      await ask("/alive", { deadlineMs: 5 });
      client.kill("here");
      await ask("/dead");
    });
    await stage.play();
    expect(asked).toEqual(["/alive"]);
  });

  test("to nobody is refused", async () => {
    const stage = new Stage();
    stage.start("idle", () => pause(10));
    let got = "";
    stage.start("client", async () => {
      got = await ask("/");
    });
    await stage.play();
    expect(got).toBe("connect ECONNREFUSED 10.0.0.1:80");
  });
});

describe("a server", () => {
  test("cannot listen where another does, and can once that one has ended", async () => {
    const stage = new Stage();
    const first = stage.start("first", echo);
    const told: string[] = [];
    stage.start("other", async (process) => {
      stage.network.join(process, "10.0.0.1");
      await pause(1);
      await listen(createServer(), 80).catch((error: NodeJS.ErrnoException) => told.push(`${error.code}`));
      first.kill("crash");
      await pause(1);
      const server = createServer();
      await listen(server, 80);
      told.push(JSON.stringify(server.address()));
    });
    await stage.play();
    expect(told).toEqual(["EADDRINUSE", '{"address":"10.0.0.1","port":80,"family":"IPv4"}']);
  });

  test("learns that a client has given up, and closes when its last request is done", async () => {
    const stage = new Stage();
    const told: string[] = [];
    stage.start("server", async ({ stop }) => {
      const server = createServer((incoming, response) => {
        incoming.on("close", () => told.push(`gone at ${stage.scheduler.now}`));
        setTimeout(() => response.end("late"), 100);
      });
      await listen(server, 80);
      await new Promise((resolve) => stop.addEventListener("abort", resolve));
      await new Promise<void>((resolve) => server.close(() => resolve()));
      told.push(`closed at ${stage.scheduler.now}`);
    });
    stage.start("client", async () => {
      await pause(5);
      void byNode("/", { deadlineMs: 20 });
      await pause(50);
    });
    await stage.play(60);
    expect(told).toEqual(["gone at 25"]);
  });

  test("may be found by a name", async () => {
    const stage = new Stage();
    stage.network.name("store.example", "10.0.0.1");
    stage.start("server", echo);
    const got: string[] = [];
    stage.start("client", async () => {
      await pause(5);
      for (const host of ["store.example", "nowhere.example"]) {
        const origin = `http://${host}`;
        const asked = new NetworkDispatcher().request({ origin, path: "/", method: "GET" });
        got.push(
          await asked.then(
            ({ statusCode }) => String(statusCode),
            (error: Error) => error.message,
          ),
        );
      }
    });
    await stage.play();
    expect(got).toEqual(["203", "getaddrinfo ENOTFOUND nowhere.example"]);
  });
});
