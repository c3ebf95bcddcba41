import { Dispatcher } from "undici";
import { interfaces } from "./network.ts";
import { actingProcess } from "./process.ts";

/**
 * What code that speaks through `undici` is handed in the place of its connections: requests go over the simulated network
 * in the name of the process that asks. Load it after the host is installed, as all that is played.
 */
export class NetworkDispatcher extends Dispatcher {
  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const client = actingProcess();
    if (client === undefined) throw new Error("Cannot send a request over the simulated network outside of a process");
    const { hostname, port } = new URL(String(options.origin));
    const call = new Call(handler);
    handler.onRequestStart?.(call, {});
    if (call.aborted) return true;
    const asked = {
      method: options.method,
      path: options.path,
      headers: { host: `${hostname}:${port}` },
      body: bodyOf(options.body),
    };
    const to = { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port === "" ? 80 : port) };
    call.giveUp = interfaces.of(client).network.ask(client, to, asked, {
      begins: (status, headers) => handler.onResponseStart?.(call, status, headers),
      brings: (bytes) => handler.onResponseData?.(call, bytes),
      ends: () => handler.onResponseEnd?.(call, {}),
      fails: (error) => handler.onResponseError?.(call, error),
    });
    return true;
  }

  override close(closed?: () => void): Promise<void> {
    closed?.();
    return Promise.resolve();
  }

  override destroy(...args: unknown[]): Promise<void> {
    const destroyed = args.findLast((argument) => typeof argument === "function");
    destroyed?.();
    return Promise.resolve();
  }
}

/** A request on its way, as its handler steers it. Answers come in one piece, so there is nothing to hold back. */
class Call implements Dispatcher.DispatchController {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly paused = false;
  #reason: Error | null = null;
  giveUp: () => void = () => {};

  constructor(handler: Dispatcher.DispatchHandler) {
    this.#handler = handler;
  }

  get aborted(): boolean {
    return this.#reason !== null;
  }

  get reason(): Error | null {
    return this.#reason;
  }

  abort(reason: Error): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.giveUp();
    this.#handler.onResponseError?.(this, reason);
  }

  pause(): void {}

  resume(): void {}
}

function bodyOf(body: Dispatcher.DispatchOptions["body"]): Buffer {
  if (body === undefined || body === null) return Buffer.alloc(0);
  if (typeof body === "string" || body instanceof Uint8Array) return Buffer.from(body);
  throw new Error("Cannot send a body over the simulated network because it is no text and no bytes");
}
