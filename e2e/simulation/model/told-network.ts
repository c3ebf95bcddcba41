import {
  type Address,
  type AskedRequest,
  type Asker,
  type Fate,
  type Journey,
  type Listener,
  Network,
} from "../host/network.ts";
import type { SimProcess } from "../host/process.ts";
import { fieldsOf } from "./api/object.ts";
import type { Facts } from "./facts.ts";

/** A request to the object store, told once it is on its way. */
export type StoreRequest = Readonly<{ client: SimProcess; method: string; path: string }>;

/** Whoever wants to hear of every request to the object store. */
type StoreListener = (request: StoreRequest) => void;

const clientHeader = "x-model-client";

/** A network on which it is heard whom agents answer, and who asks the object store for what. */
export class ToldNetwork extends Network {
  readonly storeListeners = new Set<StoreListener>();
  readonly #facts: Facts;
  readonly #store: Address;
  #asking: string | undefined;

  constructor(fate: (journey: Journey) => Fate, { facts, store }: Readonly<{ facts: Facts; store: Address }>) {
    super(fate);
    this.#facts = facts;
    this.#store = store;
  }

  /** The key of the process whose request the object store is carrying out. */
  get asking(): string | undefined {
    return this.#asking;
  }

  override listen(port: number, listener: Listener): ReturnType<Network["listen"]> {
    if (port !== this.#store.port) return super.listen(port, listener);
    const take: Listener["take"] = (asked, ...rest) => {
      this.#asking = String(asked.headers[clientHeader] ?? "");
      listener.take(asked, ...rest);
    };
    return super.listen(port, { ...listener, take });
  }

  override ask(
    client: SimProcess,
    to: Readonly<{ host: string; port: number }>,
    asked: AskedRequest,
    asker: Asker,
  ): () => void {
    if (to.host === this.#store.ip) return this.#askStore(client, to, asked, asker);
    if (!asked.path.startsWith("/v1/")) return super.ask(client, to, asked, asker);
    const query = new URLSearchParams(asked.path.split("?", 2)[1]);
    const [askedRun, askedPod] = [query.get("run") ?? "", query.get("pod") ?? ""];
    return super.ask(client, to, asked, {
      ...asker,
      begins: (status, headers) => {
        const taken = status >= 200 && status < 300;
        this.#facts.agentAnswered(to.host, { operator: client.name, askedRun, askedPod, taken });
        asker.begins(status, headers);
      },
      brings: (bytes) => {
        if (this.#facts.isStoreWell) this.#facts.agentTold(to.host, fieldsOf(jsonOf(bytes)).mirror);
        // Not each of thousands of answers is read for what hardly any of them says.
        if (bytes.includes("NodeSuspect")) this.#facts.agentComplained(to.host, fieldsOf(jsonOf(bytes)).problems);
        asker.brings(bytes);
      },
    });
  }

  #askStore(client: SimProcess, to: Readonly<{ port: number }>, asked: AskedRequest, asker: Asker) {
    const headers = { ...asked.headers, [clientHeader]: client.key };
    const giveUp = super.ask(client, { host: this.#store.ip, port: to.port }, { ...asked, headers }, asker);
    const { method, path } = asked;
    for (const listener of this.storeListeners) listener({ client, method, path });
    return giveUp;
  }
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
