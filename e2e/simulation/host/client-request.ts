import { AsyncLocalStorage } from "node:async_hooks";
import http, { type IncomingHttpHeaders, type OutgoingHttpHeaders, type RequestOptions } from "node:http";
import { Writable } from "node:stream";
import { asReceived, interfaces } from "./network.ts";
import type { SimProcess } from "./process.ts";
import { noSocket } from "./server.ts";
import { SimTimer } from "./time.ts";

/** What `http.request` returns inside a process: it sends what was written to it as one message, at its end. */
export class SimClientRequest extends Writable {
  readonly #process: SimProcess;
  readonly #options: RequestOptions;
  readonly #pieces: Buffer[] = [];
  #idle: SimTimer | null = null;
  #giveUp: () => void = () => {};
  #response: http.IncomingMessage | null = null;

  constructor(process: SimProcess, options: RequestOptions, answered?: (response: http.IncomingMessage) => void) {
    super({ autoDestroy: false });
    this.#process = process;
    this.#options = options;
    if (answered !== undefined) this.once("response", answered);
    if (options.timeout !== undefined) this.setTimeout(options.timeout);
    this.#followSignal(options.signal);
  }

  /** Emits `timeout` when nothing has moved for so long; ends nothing by itself. */
  setTimeout(delayMs: number, elapsed?: () => void): this {
    if (elapsed !== undefined) this.once("timeout", elapsed);
    this.#idle?.close();
    if (delayMs > 0)
      this.#idle = new SimTimer(this.#process, () => this.emit("timeout"), { delayMs, repeats: false }).unref();
    return this;
  }

  override _write(piece: Buffer, _encoding: BufferEncoding, written: () => void): void {
    this.#idle?.refresh();
    this.#pieces.push(piece);
    written();
  }

  override _final(finished: () => void): void {
    const { host, hostname = host, port = 80, method = "GET", path = "/", headers } = this.#options;
    const asked = {
      method,
      path: path ?? "/",
      headers: asReceived((headers ?? {}) as OutgoingHttpHeaders),
      body: Buffer.concat(this.#pieces),
    };
    // Listeners see the context of the request, as they do where a connection is made for it.
    const within = AsyncLocalStorage.snapshot();
    this.#giveUp = interfaces
      .of(this.#process)
      .network.ask(this.#process, { host: hostname ?? "localhost", port: Number(port) }, asked, {
        begins: (status, answerHeaders) => within(() => this.#begin(status, answerHeaders)),
        brings: (bytes) => within(() => this.#response?.push(bytes)),
        ends: () => within(() => this.#end()),
        fails: (error) => within(() => this.destroy(error)),
      });
    finished();
  }

  override _destroy(error: Error | null, destroyed: (error: Error | null) => void): void {
    this.#idle?.close();
    this.#giveUp();
    const response = this.#response;
    if (response === null) {
      destroyed(error ?? new Error("socket hang up"));
    } else {
      if (!response.complete) response.destroy(error ?? new Error("aborted"));
      destroyed(null);
    }
  }

  /** Until the end of the answer, which a stream's own `signal` does not last to. */
  #followSignal(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const abort = () => this.destroy(new RequestAbortedError(signal.reason));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    this.once("close", () => signal.removeEventListener("abort", abort));
  }

  #begin(status: number, headers: IncomingHttpHeaders): void {
    this.#idle?.refresh();
    const response = new http.IncomingMessage(noSocket);
    response.statusCode = status;
    response.statusMessage = http.STATUS_CODES[status] ?? "";
    response.headers = headers;
    this.#response = response;
    this.emit("response", response);
  }

  #end(): void {
    const response = this.#response;
    if (response === null) return;
    response.complete = true;
    response.push(null);
    this.destroy();
  }
}

/** As Node's own, by which callers tell it: name, code and cause. */
class RequestAbortedError extends Error {
  override readonly name = "AbortError";
  readonly code = "ABORT_ERR";

  constructor(cause: unknown) {
    super("The operation was aborted", { cause });
  }
}
