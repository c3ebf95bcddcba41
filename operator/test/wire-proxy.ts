import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Gate } from "../../e2e/object-store/proxy/gate.ts";

/** From the client to the server, and back. */
export type Direction = "Up" | "Down";

/** One connection that a client has made, as long as the client's side is open. */
export type WireConnection = Readonly<{
  /** When it came, on the monotonic clock. */
  atMs: number;
  /** What has passed so far. */
  bytes: Readonly<Record<Direction, number>>;
  /** Cuts it: both sides see a reset. */
  reset: () => void;
}>;

/** Where a proxy leads. */
export type WireTarget = Readonly<{ host: string; port: number }>;

/**
 * A wire on loopback that can be broken as wires are. It knows bytes, not what they mean, so TLS passes through it:
 * certificates and tokens are tried for real. Two things differ from a wire: a connection is taken before the server
 * is asked, so that one the server refuses looks like a reset; and one made while nothing is let through is taken and
 * never answered, where a real one would wait for its handshake.
 */
export class WireProxy implements AsyncDisposable {
  readonly #gates: Readonly<Record<Direction, Gate>> = { Up: new Gate("Open"), Down: new Gate("Open") };
  readonly #open = new Set<Wire>();
  readonly #stopped = new AbortController();
  #server: Server | undefined;
  #port = 0;
  #target: WireTarget;
  #isBlackHole = false;
  #bytesPerSecond = Number.POSITIVE_INFINITY;
  #accepted = 0;

  private constructor(target: WireTarget) {
    this.#target = target;
  }

  /** Listens on a free port of loopback. */
  static async start(target: WireTarget): Promise<WireProxy> {
    const proxy = new WireProxy(target);
    await proxy.#listen();
    return proxy;
  }

  /** The same from its start to its end, whatever is broken meanwhile. */
  get port(): number {
    return this.#port;
  }

  get connections(): readonly WireConnection[] {
    return [...this.#open];
  }

  /** How many connections came so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Lets nothing pass, not even an end; connections stay, new ones are taken. What came meanwhile passes after a thaw. */
  freeze(which: Direction | "Both" = "Both"): void {
    for (const direction of which === "Both" ? (["Up", "Down"] as const) : [which]) this.#gates[direction].shut();
  }

  thaw(): void {
    for (const gate of Object.values(this.#gates)) gate.open();
  }

  /**
   * Swallows all that is sent, ends and resets too: each side believes in a connection that the other has lost. New
   * ones are taken and never answered. `heal` resets them all, as hosts do that hear from each other again.
   */
  blackHole(): void {
    this.#isBlackHole = true;
    for (const wire of this.#open) wire.isBlackHole = true;
  }

  /** Refuses new connections, as a host does on which nothing listens; those there are go on. */
  refuse(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  /** Cuts every connection there is. */
  resetAll(): void {
    for (const wire of this.#open) wire.reset();
  }

  /** Lets no more than this pass in each direction of each connection. */
  slow(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Leads new connections to another port. */
  retarget(port: number): void {
    this.#target = { ...this.#target, port };
  }

  /** Breaks nothing any more; where it leads stays as it is. */
  async heal(): Promise<void> {
    this.#isBlackHole = false;
    this.#bytesPerSecond = Number.POSITIVE_INFINITY;
    for (const wire of this.#open) if (wire.isBlackHole) wire.reset();
    this.thaw();
    if (this.#server === undefined) await this.#listen();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.refuse();
    this.resetAll();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #listen(): Promise<void> {
    this.#server = createServer({ allowHalfOpen: true }, (client) => void this.#take(client));
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async #take(client: Socket): Promise<void> {
    this.#accepted += 1;
    const wire = new Wire(client);
    wire.isBlackHole = this.#isBlackHole;
    this.#open.add(wire);
    client.on("close", () => this.#open.delete(wire));
    // Heard by whoever reads; without a listener an error in between would end the process.
    client.on("error", () => undefined);
    if (wire.isBlackHole) {
      client.resume();
      return;
    }
    const server = connect({ ...this.#target, allowHalfOpen: true });
    server.on("error", () => undefined);
    wire.server = server;
    await Promise.all([this.#pass(wire, "Up", client, server), this.#pass(wire, "Down", server, client)]);
  }

  async #pass(wire: Wire, direction: Direction, from: Socket, to: Socket): Promise<void> {
    const signal = this.#stopped.signal;
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false })) {
        for (const part of this.#parts(chunk as Buffer)) {
          await this.#gates[direction].passed(signal);
          if (wire.isBlackHole) continue;
          if (!to.write(part)) await once(to, "drain", { signal });
          wire.bytes[direction] += part.length;
          if (Number.isFinite(this.#bytesPerSecond)) await delay(sliceMs, undefined, { signal });
        }
      }
      await this.#gates[direction].passed(signal);
      if (!wire.isBlackHole) to.end();
    } catch {
      // A reset on the one side is a reset on the other, once anything passes.
      await this.#gates[direction].passed(signal).catch(() => undefined);
      if (!wire.isBlackHole) wire.reset();
    }
  }

  #parts(chunk: Buffer): readonly Buffer[] {
    const size = Math.max(1, Math.floor((Math.min(this.#bytesPerSecond, largestSlice) * sliceMs) / 1000));
    return Array.from({ length: Math.ceil(chunk.length / size) }, (_, index) =>
      chunk.subarray(index * size, (index + 1) * size),
    );
  }
}

const sliceMs = 50;
const largestSlice = 1024 * 1024 * 1024;

class Wire implements WireConnection {
  readonly atMs = performance.now();
  readonly bytes = { Up: 0, Down: 0 };
  readonly #client: Socket;
  server: Socket | undefined;
  isBlackHole = false;

  constructor(client: Socket) {
    this.#client = client;
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.server?.resetAndDestroy();
  }
}
