import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "./api-server.ts";
import { type Direction, WireProxy } from "./wire-proxy.ts";

/** What a side of a connection has heard: text as it came, then how it ended. */
class Side {
  readonly socket: Socket;
  heard = "";
  end: string | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.heard += chunk.toString();
    });
    socket.on("end", () => {
      this.end ??= "end";
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.end ??= error.code ?? error.message;
    });
  }
}

/** A server that takes connections and says nothing by itself. */
class QuietServer {
  readonly sides: Side[] = [];
  readonly #server: Server = createServer({ allowHalfOpen: true }, (socket) => this.sides.push(new Side(socket)));

  async listen(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const { socket } of this.sides) socket.destroy();
  }
}

describe("a wire that breaks as it is told", () => {
  let server: QuietServer;
  let proxy: WireProxy;
  let clients: Side[];

  beforeEach(async () => {
    clients = [];
    server = new QuietServer();
    proxy = await WireProxy.start({ host: "127.0.0.1", port: await server.listen() });
  });
  afterEach(async () => {
    for (const { socket } of clients) socket.destroy();
    await proxy.stop();
    server.close();
  });

  /** A new client, and the server's side of its connection once the server has it. */
  async function meet(at = server, through = proxy): Promise<Readonly<{ client: Side; served: Side }>> {
    const before = at.sides.length;
    const client = call(through);
    return { client, served: await until("the server has the connection", () => at.sides[before]) };
  }

  function call(through = proxy): Side {
    const client = new Side(connect({ port: through.port, host: "127.0.0.1", allowHalfOpen: true }));
    clients.push(client);
    return client;
  }

  const hears = (side: Side, text: string) => until(`${text} is heard`, () => side.heard === text);
  const ends = (side: Side, how: string) => until(`it ends with ${how}`, () => side.end === how);
  /** A question and its answer through the proxy. */
  async function settle(): Promise<void> {
    await talk(await meet());
  }

  /** The same beside it, over as many sockets: whatever was going to pass meanwhile has passed. */
  async function elsewhere(): Promise<void> {
    const other = new QuietServer();
    await using beside = await WireProxy.start({ host: "127.0.0.1", port: await other.listen() });
    for (let times = 0; times < 3; times += 1) await talk(await meet(other, beside));
    other.close();
  }

  async function talk({ client, served }: Readonly<{ client: Side; served: Side }>): Promise<void> {
    client.socket.write("?");
    await hears(served, "?");
    served.socket.write("!");
    await hears(client, "!");
  }

  it("passes on what is said in both directions, and counts it", async () => {
    const { client, served } = await meet();
    client.socket.write("question");
    await hears(served, "question");
    served.socket.write("answer");
    await hears(client, "answer");
    expect(proxy.connections.map(({ bytes }) => bytes)).toEqual([{ Up: 8, Down: 6 }]);
  });

  it("passes on an end of one direction, and then the other's last words", async () => {
    const { client, served } = await meet();
    client.socket.end("that is all");
    await ends(served, "end");
    served.socket.end("goodbye");
    await ends(client, "end");
    expect([served.heard, client.heard]).toEqual(["that is all", "goodbye"]);
    await until("it is forgotten", () => proxy.connections.length === 0);
  });

  it.each([
    ["the server", "served", "client"],
    ["the client", "client", "served"],
  ] as const)("passes on a reset by %s", async (_, from, to) => {
    const pair = await meet();
    pair[from].socket.resetAndDestroy();
    await ends(pair[to], "ECONNRESET");
  });

  it("passes on a megabyte unharmed", async () => {
    const { client, served } = await meet();
    const much = "0123456789abcdef".repeat(65_536);
    client.socket.write(much);
    await until("all of it came", () => served.heard.length === much.length);
    expect(served.heard === much).toBe(true);
  });

  const frozen: readonly (readonly [which: Direction | "Both", served: string, client: string])[] = [
    ["Both", "", ""],
    ["Up", "", "answer"],
    ["Down", "question", ""],
  ];
  it.each(frozen)("holds what is said while it is frozen (%s)", async (which, atServer, atClient) => {
    const { client, served } = await meet();
    proxy.freeze(which);
    client.socket.write("question");
    served.socket.write("answer");
    await elsewhere();
    expect([served.heard, client.heard]).toEqual([atServer, atClient]);
    proxy.thaw();
    await hears(served, "question");
    await hears(client, "answer");
  });

  it.each([
    ["an end", (served: Side) => served.socket.end(), "end"],
    ["a reset", (served: Side) => served.socket.resetAndDestroy(), "ECONNRESET"],
  ])("tells of %s only after a thaw", async (_, act, how) => {
    const { client, served } = await meet();
    proxy.freeze();
    act(served);
    await elsewhere();
    expect(client.end).toBeUndefined();
    proxy.thaw();
    await ends(client, how);
  });

  it("lets all that was held pass after a thaw, and new connections as well", async () => {
    const { client, served } = await meet();
    proxy.freeze();
    client.socket.write("one ");
    const late = call();
    await once(late.socket, "connect");
    late.socket.write("late");
    client.socket.end("two");
    await elsewhere();
    expect(served.heard).toBe("");
    proxy.thaw();
    await hears(served, "one two");
    await ends(served, "end");
    await until("the late one is heard", () => server.sides.some(({ heard }) => heard === "late"));
  });

  it("swallows all as a black hole, ends too, and takes what it never answers", async () => {
    const { client, served } = await meet();
    proxy.blackHole();
    client.socket.write("lost");
    served.socket.resetAndDestroy();
    const late = call();
    late.socket.write("lost as well");
    await once(late.socket, "connect");
    await until("both are taken", () => proxy.connections.length === 2);
    await elsewhere();
    expect([client.end, late.end, served.heard]).toEqual([undefined, undefined, ""]);
    await proxy.heal();
    await ends(client, "ECONNRESET");
    await ends(late, "ECONNRESET");
    await settle();
  });

  it("refuses new connections at the same port, and lets the others go on", async () => {
    const { client, served } = await meet();
    proxy.refuse();
    await ends(call(), "ECONNREFUSED");
    client.socket.write("still here");
    await hears(served, "still here");
    await proxy.heal();
    await settle();
  });

  it("cuts what is open, and takes new connections", async () => {
    const { client, served } = await meet();
    proxy.resetAll();
    await ends(client, "ECONNRESET");
    await ends(served, "ECONNRESET");
    await settle();
    expect(proxy.accepted).toBe(2);
  });

  it("cuts one connection alone", async () => {
    const [first, second] = [await meet(), await meet()];
    proxy.connections[0]?.reset();
    await ends(first.client, "ECONNRESET");
    second.client.socket.write("still here");
    await hears(second.served, "still here");
  });

  it("lets little pass at a time where it is slow", async () => {
    const { client, served } = await meet();
    proxy.slow(1_000);
    client.socket.write("x".repeat(100));
    await until("something came", () => served.heard.length > 0);
    expect(served.heard.length).toBeLessThan(100);
    await proxy.heal();
    await hears(served, "x".repeat(100));
  });

  it("leads new connections elsewhere", async () => {
    const other = new QuietServer();
    const { client, served } = await meet();
    proxy.retarget(await other.listen());
    const moved = await meet(other);
    client.socket.write("old");
    moved.client.socket.write("new");
    await hears(served, "old");
    await hears(moved.served, "new");
    other.close();
  });

  it("resets where the server is not there", async () => {
    proxy.retarget(await unusedPort());
    await ends(call(), "ECONNRESET");
  });
});

async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
