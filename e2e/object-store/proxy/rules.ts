import { Chance, type Row } from "../../simulation/host/chance.ts";
import type { Fault } from "./fault.ts";
import { Gate } from "./gate.ts";
import type { Operation, S3Request } from "./s3-request.ts";

/** Which requests a fault befalls: those that match all that is given. */
export interface Rule {
  readonly fault: Fault;
  readonly method?: string;
  readonly operation?: Operation;
  readonly key?: RegExp;
  /** Only the nth of the requests that match so far, counted from 1. */
  readonly nth?: number;
  /** Only some of them, by a coin with this chance of each falling; the same seed gives the same falls. */
  readonly chance?: { readonly of: number; readonly seed: number };
}

/** A rule in force. */
export interface ActiveRule {
  readonly rule: Rule;
  /** How many requests it has befallen. */
  readonly hits: number;
  /** Ends it: no request is befallen any more, and what it holds goes on. */
  remove(): void;
}

/** A fault picked for one request. */
export interface PickedFault {
  readonly fault: Fault;
  /** Opens when the rule is removed. */
  readonly released: Gate;
}

interface Entry {
  readonly rule: Rule;
  readonly released: Gate;
  readonly coin: Row;
  matches: number;
  hits: number;
}

/** The rules in force, in the order in which they came. */
export class Rules {
  #entries: readonly Entry[] = [];

  add(rule: Rule): ActiveRule {
    const coin = new Chance(rule.chance?.seed ?? 0).row("fault", "coin");
    const entry: Entry = { rule, released: new Gate("Shut"), coin, matches: 0, hits: 0 };
    this.#entries = [...this.#entries, entry];
    return {
      rule,
      get hits() {
        return entry.hits;
      },
      remove: () => this.#remove(entry),
    };
  }

  clear(): void {
    for (const entry of this.#entries) this.#remove(entry);
  }

  /** The fault of the first rule that befalls this request. Every rule counts every request that it matches. */
  pick(request: S3Request): PickedFault | undefined {
    const [first] = this.#entries.filter((entry) => befalls(entry, request));
    if (first === undefined) return undefined;
    first.hits += 1;
    return { fault: first.rule.fault, released: first.released };
  }

  #remove(entry: Entry): void {
    this.#entries = this.#entries.filter((other) => other !== entry);
    entry.released.open();
  }
}

function befalls(entry: Entry, request: S3Request): boolean {
  const { method, operation, key, nth, chance } = entry.rule;
  if (method !== undefined && method !== request.method) return false;
  if (operation !== undefined && operation !== request.operation) return false;
  // `search` and not `test`: the latter remembers where a global pattern left off.
  if (key !== undefined && request.key.search(key) < 0) return false;
  entry.matches += 1;
  if (nth !== undefined && nth !== entry.matches) return false;
  return chance === undefined || entry.coin.hits(chance.of);
}
