import { once } from "node:events";
import { createServer, isIPv4 } from "node:net";

/** A node has given out all the addresses it had. */
export class AddressesExhausted extends Error {
  override readonly name = "AddressesExhausted";
}

/**
 * Makes sure that programs of this machine can listen on an address. Linux and Windows own all of 127.0.0.0/8; macOS
 * has only what it was given.
 *
 * @throws {Error} with what to do, when they cannot.
 */
export async function requireListenable(address: string): Promise<void> {
  const server = createServer();
  try {
    server.listen(0, address);
    await once(server, "listening");
  } catch (error) {
    const remedy = process.platform === "darwin" ? `: run "sudo ifconfig lo0 alias ${address}"` : "";
    throw new Error(`Cannot use ${address} because this machine does not have that address${remedy}`, { cause: error });
  }
  server.close();
  await once(server, "close");
}

/**
 * Gives every pod of a node an address of its own on this machine's loopback network, so that all pods may listen on
 * the same port. A node's third number is its own: the node 127.0.3.1 gives out 127.3.0.1 to 127.3.255.254, and no
 * other node does.
 */
export class AddressPool {
  readonly #prefix: string;
  readonly #taken = new Set<number>();
  #next = 1;

  /** @throws {RangeError} for an address that is not 127.0.x.y with x in 1-255. */
  constructor(nodeAddress: string) {
    const [first, second, third] = nodeAddress.split(".");
    if (!isIPv4(nodeAddress) || first !== "127" || second !== "0" || third === "0") {
      throw new RangeError(
        `Cannot derive pod addresses because a process node's address must be 127.0.x.y with x in 1-255: ${nodeAddress}`,
      );
    }
    this.#prefix = `127.${third}`;
  }

  /** The address that has been free for longest. @throws {AddressesExhausted} when there is none. */
  take(): string {
    const count = 2 ** 16 - 2;
    if (this.#taken.size >= count)
      throw new AddressesExhausted(`Cannot start a pod: all of ${this.#prefix}.* is taken`);
    while (this.#taken.has(this.#next)) this.#next = (this.#next % count) + 1;
    const index = this.#next;
    this.#taken.add(index);
    this.#next = (index % count) + 1;
    return `${this.#prefix}.${index >> 8}.${index & 255}`;
  }

  /** Takes an address back. */
  release(address: string): void {
    const [, , third, fourth] = address.split(".").map(Number);
    if (third !== undefined && fourth !== undefined) this.#taken.delete(third * 256 + fourth);
  }
}
