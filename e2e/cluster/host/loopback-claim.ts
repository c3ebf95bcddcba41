import { createServer, type Server } from "node:net";

/** Parts of the loopback network that no other cluster of this machine uses, for as long as they are held. */
export interface LoopbackClaim {
  /** For each node the x of its address 127.0.x.1 and its pods' addresses 127.x. */
  readonly numbers: readonly number[];
  release(): void;
}

const port = 10249;

/**
 * Claims `count` numbers. A claim is a listening socket, so that the kernel settles who has a number, and it ends with
 * this process, however that ends.
 *
 * @throws {Error} when there are not as many left.
 */
export async function claimLoopback(count: number): Promise<LoopbackClaim> {
  const held = new Map<number, Server>();
  const release = () => {
    for (const server of held.values()) server.close();
  };
  for (let number = 1; number < 255 && held.size < count; number += 1) {
    const server = await listen(`127.0.${number}.254`);
    if (server !== undefined) held.set(number, server);
  }
  if (held.size === count) return { numbers: [...held.keys()], release };
  release();
  throw new Error(`Cannot find ${count} free loopback addresses 127.0.x.254: only ${held.size} can be used`);
}

function listen(host: string): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", () => resolve(undefined));
    server.listen({ host, port }, () => {
      server.unref();
      resolve(server);
    });
  });
}
