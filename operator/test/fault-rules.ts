import { Gate } from "../../e2e/object-store/proxy/gate.ts";
import { Chance, type Row } from "../../e2e/simulation/host/chance.ts";

/** What is done to one request instead of passing it on. */
export type Fault =
  /** Answered by the proxy; the server never sees it. */
  | Readonly<{ kind: "Answer"; status: number; headers?: Readonly<Record<string, string>>; body?: unknown }>
  /** The connection is reset before the server sees the request. */
  | Readonly<{ kind: "Reset" }>
  /** The connection is taken and nothing is ever said. */
  | Readonly<{ kind: "Stall" }>
  /** The server acts, and its answer is lost on the way. */
  | Readonly<{ kind: "LoseAnswer" }>
  /** As `LoseAnswer`, and nothing gets through after it: what a client sees of its own sudden death. */
  | Readonly<{ kind: "LoseAnswerForGood" }>
  /** The client gets the first bytes of the answer, and then its connection ends. */
  | Readonly<{ kind: "CutBody"; afterBytes: number }>
  /** The client gets the first bytes of the answer, and then nothing more. */
  | Readonly<{ kind: "StallBody"; afterBytes: number }>
  /** The client gets other words, as a whole and well-formed answer. Of a watch, each piece is changed as it comes. */
  | Readonly<{ kind: "GarbleBody"; change: (text: string) => string }>
  /** Kept until the rule is removed: before the server hears of it, or after it has acted. */
  | Readonly<{ kind: "Hold"; what: "Request" | "Answer" }>
  /** The client's connection is reset at once, and the server gets the whole request when the rule is removed. */
  | Readonly<{ kind: "ArriveLate" }>;

/** A request as the proxy sees it. */
export type Seen = Readonly<{ method: string; path: string; isWatch: boolean }>;

/** Which requests a fault befalls. */
export type Rule = Readonly<{
  /** Asked of every request that no earlier rule befalls, in the order in which they come. */
  matches: (seen: Seen) => boolean;
  fault: Fault;
  /** How many requests it befalls at most; all where absent. */
  times?: number;
  /** Only some of those that match, by a coin with this chance of each falling; the same seed, the same falls. */
  chance?: Readonly<{ of: number; seed: number }>;
}>;

/** A rule in force. */
export type ActiveRule = Readonly<{
  /** How many requests it has befallen. */
  hits: () => number;
  /** Ends it: no request is befallen any more, and what it holds goes on. */
  remove: () => void;
}>;

/** A fault picked for one request. */
export type PickedFault = Readonly<{
  fault: Fault;
  /** Opens when the rule is removed. */
  released: Gate;
}>;

/** The rules in force, in the order in which they came; the first that befalls a request counts. */
export class FaultRules {
  readonly #entries = new Set<Entry>();

  add(rule: Rule): ActiveRule {
    const coin = new Chance(rule.chance?.seed ?? 0).row("fault", "coin");
    const entry = { rule, released: new Gate("Shut"), coin, hits: 0 };
    this.#entries.add(entry);
    return { hits: () => entry.hits, remove: () => this.#remove(entry) };
  }

  clear(): void {
    for (const entry of this.#entries) this.#remove(entry);
  }

  pick(seen: Seen): PickedFault | undefined {
    for (const entry of this.#entries) {
      const { rule, released } = entry;
      if (entry.hits === rule.times || !rule.matches(seen)) continue;
      if (rule.chance !== undefined && !entry.coin.hits(rule.chance.of)) continue;
      entry.hits += 1;
      return { fault: rule.fault, released };
    }
    return undefined;
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry);
    entry.released.open();
  }
}

type Entry = { readonly rule: Rule; readonly released: Gate; readonly coin: Row; hits: number };
