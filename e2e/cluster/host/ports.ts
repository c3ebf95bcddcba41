import { once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * Ports of an address that were free a moment ago. All are held at once before any is let go, so one call never gives
 * the same port twice.
 */
export async function freePorts(count: number, address: string): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, address));
  const ports: number[] = [];
  for (const server of servers) {
    if (!server.listening) await once(server, "listening");
    const bound = server.address();
    if (bound === null || typeof bound === "string") throw new Error(`Cannot find a free port on ${address}`);
    ports.push(bound.port);
  }
  for (const server of servers) {
    server.close();
    await once(server, "close");
  }
  return ports;
}

/** Whether something accepts connections at the host and port of a URL. */
export function isListening(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port) });
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}
