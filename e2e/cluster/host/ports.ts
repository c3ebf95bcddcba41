import { once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * Below the ports that the kernel gives to outgoing connections: one that is taken here today is not in use by somebody's
 * connection when its server is started again.
 */
const [firstPort, lastPort] = [20_000, 29_999];
const tries = 200;

/** Different ports of an address that were free a moment ago, chosen at random so that two who ask at once differ. */
export async function freePorts(count: number, address: string): Promise<number[]> {
  const ports = new Set<number>();
  for (let tried = 0; tried < tries && ports.size < count; tried += 1) {
    const port = firstPort + Math.floor(Math.random() * (lastPort - firstPort + 1));
    if (!ports.has(port) && (await isFree(port, address))) ports.add(port);
  }
  if (ports.size === count) return [...ports];
  throw new Error(
    `Cannot find ${count} free ports on ${address}: of ${tries} tried between ${firstPort} and ${lastPort}, ${ports.size} were`,
  );
}

/** @throws {Error} when the address itself cannot be listened on. */
async function isFree(port: number, address: string): Promise<boolean> {
  const server = createServer().listen(port, address);
  try {
    await once(server, "listening");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") return false;
    throw error;
  }
  server.close();
  await once(server, "close");
  return true;
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
