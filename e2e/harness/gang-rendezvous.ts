import { on, once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

/** Another worker's connection has ended: the step that all were at cannot be finished. */
export class PeerLostError extends Error {
  override readonly name = "PeerLostError";
}

/** Where the workers of a gang meet, and as whom. */
export type Meeting = Readonly<{
  /** Where the others find rank 0. */
  address: string;
  /** Where rank 0 listens. */
  listenAt: string;
  port: number;
  rank: number;
  size: number;
  /** What all must begin from: workers that restored different checkpoints must not train together. */
  base: string;
  signal: AbortSignal;
}>;

/** What a worker brings to the end of a step: of `save`, only rank 0's counts. */
export type Word = Readonly<{ step: number; value: number; stop: boolean; save: boolean }>;

/** What all of them came to: the sum of their values, whether any was asked to stop, and rank 0 to save. */
export type Agreed = Readonly<{ sum: number; stop: boolean; save: boolean }>;

/** The workers of one attempt, connected. */
export interface Rendezvous {
  /** Waits for everybody's word of this step; throws {@link PeerLostError} when one of them is gone. */
  agree(word: Word): Promise<Agreed>;
  end(): void;
}

const Hello = z.object({ rank: z.int(), base: z.string() });
const WordLine = z.object({ step: z.int(), value: z.number(), stop: z.boolean(), save: z.boolean() });
const AgreedLine = z.object({ sum: z.number(), stop: z.boolean(), save: z.boolean() });

/** Connects the workers: rank 0 listens, the others come to it. */
export function meet(meeting: Meeting): Promise<Rendezvous> {
  return meeting.rank === 0 ? host(meeting) : join(meeting);
}

async function host({ listenAt, port, size, base, signal }: Meeting): Promise<Rendezvous> {
  const server = createServer();
  const peers: Peer[] = [];
  const connections = on(server, "connection", { signal });
  server.listen({ port, host: listenAt, signal });
  await once(server, "listening", { signal });
  for await (const [socket] of connections) {
    const peer = new Peer(socket);
    const hello = await peer.next(Hello);
    if (hello.base !== base)
      throw new Error(`Cannot train with rank ${hello.rank}, which began from ${hello.base}: ${base}`);
    peers.push(peer);
    if (peers.length === size - 1) break;
  }
  return {
    agree: async (own) => {
      const words = [own, ...(await Promise.all(peers.map((peer) => peer.next(WordLine))))];
      const stray = words.find(({ step }) => step !== own.step);
      if (stray !== undefined) throw new Error(`Cannot agree on step ${own.step} because a worker is at ${stray.step}`);
      const sum = words.reduce((total, { value }) => (total + value) >>> 0, 0);
      const agreed = { sum, stop: words.some(({ stop }) => stop), save: own.save };
      for (const peer of peers) peer.send(agreed);
      return agreed;
    },
    end: () => {
      for (const peer of peers) peer.end();
      server.close();
    },
  };
}

async function join({ address, port, rank, base, signal }: Meeting): Promise<Rendezvous> {
  const peer = new Peer(await reach(address, port, signal));
  peer.send({ rank, base });
  return {
    agree: async (own) => {
      peer.send(own);
      return peer.next(AgreedLine);
    },
    end: () => peer.end(),
  };
}

/** Rank 0's pod may come later, and its name be known later still. */
async function reach(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    const socket = connect({ host, port });
    try {
      await once(socket, "connect", { signal });
      return socket;
    } catch {
      socket.destroy();
      await sleep(50, undefined, { signal });
    }
  }
}

/** One connection, by lines of JSON. */
class Peer {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;

  constructor(socket: Socket) {
    this.#socket = socket.setNoDelay().setEncoding("utf8");
    // It is told where the next line is asked for.
    socket.on("error", () => {});
    this.#lines = linesOf(socket)[Symbol.asyncIterator]();
  }

  send(value: object): void {
    this.#socket.write(`${JSON.stringify(value)}\n`);
  }

  async next<T>(schema: z.ZodType<T>): Promise<T> {
    const line = await this.#lines.next().catch((error: unknown) => {
      throw new PeerLostError("Cannot finish the step because a worker's connection broke", { cause: error });
    });
    if (line.done) throw new PeerLostError("Cannot finish the step because a worker is gone");
    return schema.parse(JSON.parse(line.value));
  }

  end(): void {
    this.#socket.end();
  }
}

async function* linesOf(socket: Socket): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of socket) {
    const lines = `${rest}${piece}`.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
