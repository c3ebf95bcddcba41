import { type AskedRequest, type Asker, type Fate, type Journey, Network } from "../host/network.ts";
import type { SimProcess } from "../host/process.ts";
import type { Facts } from "./facts.ts";

/** A network on which it is heard whom agents answer. */
export class ToldNetwork extends Network {
  readonly #facts: Facts;

  constructor(fate: (journey: Journey) => Fate, facts: Facts) {
    super(fate);
    this.#facts = facts;
  }

  override ask(
    client: SimProcess,
    to: Readonly<{ host: string; port: number }>,
    asked: AskedRequest,
    asker: Asker,
  ): () => void {
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
    });
  }
}
