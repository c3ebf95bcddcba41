import type { Dispatcher } from "undici";
import type { ApiClient } from "../kubernetes/client.ts";
import type { LeaderElection } from "../kubernetes/leader-election.ts";
import type { ReflectorTiming } from "../kubernetes/reflector.ts";
import { ResigningError, type Term } from "../kubernetes/term.ts";
import { AgentClient } from "./agent-client.ts";
import { Caches } from "./caches.ts";
import { LateClaims } from "./late-claims.ts";
import { RunningTerm, type TermOptions } from "./term.ts";

/** How one of several processes leads. */
export type Leadership = Readonly<{
  election: Pick<LeaderElection, "run">;
  /** A client for the work of one term: `mayWrite` is asked right before each write is sent, and throws where it may not. */
  clientFor: (mayWrite: () => void) => ApiClient;
  /** How long a new leader tries to see the whole cluster before it hands the lead on; a minute where absent. */
  takeOverMs?: number;
}>;

export type OperatorOptions = TermOptions &
  Readonly<{
    /** Watches the cluster; without a leadership it writes as well. */
    client: ApiClient;
    namespaces: readonly string[];
    watchNodes: boolean;
    onWatchError: (error: unknown, about: string) => void;
    timing?: Partial<ReflectorTiming>;
    agentPort?: number;
    /** How agents are reached; by connections of the operator's own where absent. Closed with the operator. */
    agentDispatcher?: Dispatcher;
    /** Where absent, this process is the only one and leads from its beginning to its end. */
    leadership?: Leadership;
  }>;

/**
 * The controller with everything it works on; nothing runs before {@link run}. The caches are kept whether it leads or
 * not, so that who takes over has the cluster before him; all else belongs to a term.
 */
export class Operator {
  readonly caches: Caches;
  readonly #options: OperatorOptions;
  readonly #agents: AgentClient;
  /** Of all terms: whoever takes over is the one that has to know of them. */
  readonly #lateClaims = new LateClaims();
  #term: RunningTerm | undefined;

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { client, namespaces, watchNodes, timing } = options;
    this.caches = new Caches({
      client,
      namespaces,
      watchNodes,
      onError: options.onWatchError,
      ...(timing === undefined ? {} : { timing }),
    });
    this.caches.runs.listen(({ kind, object }) => {
      if (kind === "Deleted") this.#lateClaims.runGone(object);
    });
    this.#agents = new AgentClient({
      timeoutMs: 2_000,
      ...(options.agentPort === undefined ? {} : { port: options.agentPort }),
      ...(options.agentDispatcher === undefined ? {} : { dispatcher: options.agentDispatcher }),
    });
  }

  /** The work of the term that it leads; undefined while it does not. */
  get term(): RunningTerm | undefined {
    return this.#term;
  }

  /**
   * Watches, and works while it leads, until the signal is aborted; then lets the passes under way end, for a moment at
   * most, and gives up its lead. Rejects only where something broke that must not, which is a defect.
   */
  async run(signal: AbortSignal): Promise<void> {
    const watching = new AbortController();
    const broken = new AbortController();
    const watches = this.caches.run(watching.signal);
    const leading = this.#lead(AbortSignal.any([signal, broken.signal]));
    try {
      await Promise.race([watches, leading]);
    } finally {
      broken.abort(stopping());
      await leading.catch(() => undefined);
      watching.abort(stopping());
      await this.#agents.close();
      await watches.catch(() => undefined);
    }
  }

  async #lead(signal: AbortSignal): Promise<void> {
    const { client, leadership } = this.#options;
    if (leadership === undefined) {
      await this.#serve(client, { number: 0, leaving: signal, signal: never, assertHeld: () => undefined });
      return;
    }
    await leadership.election.run(signal, (term) => this.#takeOver(leadership, term));
  }

  /**
   * Whoever led before may have written what no watch has brought yet: nothing is decided without it (I7). A process that
   * renews its lease and cannot list would lead for ever and do nothing; another one can perhaps.
   */
  async #takeOver({ clientFor, takeOverMs = defaultTakeOverMs }: Leadership, term: Term): Promise<void> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), takeOverMs);
    try {
      await this.caches.refresh(AbortSignal.any([term.leaving, late.signal]));
    } catch (error) {
      if (term.leaving.aborted) return;
      if (!late.signal.aborted) throw error;
      const words = `Cannot lead because runs, pods, claims and nodes must be listed first, and were not within ${takeOverMs / 1000} s: the lease is handed on (term ${term.number})`;
      throw new ResigningError(words, { restMs, cause: error });
    } finally {
      clearTimeout(timer);
    }
    await this.#serve(clientFor(term.assertHeld), term);
  }

  async #serve(client: ApiClient, term: Term): Promise<void> {
    const now = () => this.#options.client.clock.now();
    const [caches, agents, lateClaims] = [this.caches, this.#agents, this.#lateClaims];
    // No lease runs out while the only operator ends: what it tells last is worth a wait.
    const patience = this.#options.leadership === undefined ? alonePatience : ledPatience;
    this.#term = new RunningTerm(this.#options, { caches, agents, lateClaims, client, term, now, patience });
    try {
      await this.#term.run();
    } finally {
      this.#term = undefined;
    }
  }
}

const never = new AbortController().signal;
const defaultTakeOverMs = 60_000;
/** Longer than another replica needs to find out that it cannot list either. */
const restMs = 60_000;
const alonePatience = { drainMs: 8_000, flushMs: 2_000 };
// Together within what the election gives a term that is asked to end (drainMs in lease.ts).
const ledPatience = { drainMs: 700, flushMs: 200 };

function stopping(): Error {
  return new Error("the operator is stopping");
}
