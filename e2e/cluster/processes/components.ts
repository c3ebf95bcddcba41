import { join } from "node:path";
import { type Child, startChild, waitFor } from "./child.ts";

/** One long-running program of the cluster and how to tell that it is ready. */
export interface Component {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly ready: { readonly what: string; readonly probe: () => Promise<boolean> };
}

const readyTimeoutMs = 60_000;

/** Long-running programs that belong together: they end in the reverse of the order in which they were started. */
export class Components {
  readonly #logDirectory: string;
  readonly #started = new Map<string, { component: Component; child: Child }>();

  constructor(logDirectory: string) {
    this.#logDirectory = logDirectory;
  }

  /**
   * Starts a component and waits until it is ready.
   *
   * @throws {ComponentFailed} with the end of its log.
   */
  async start(component: Component, signal?: AbortSignal): Promise<void> {
    const { name, command, args, env = {} } = component;
    const child = startChild({ name, command, args, env, logPath: join(this.#logDirectory, `${name}.log`) });
    this.#started.set(name, { component, child });
    await waitFor(child, { ...component.ready, timeoutMs: readyTimeoutMs, signal });
  }

  /** Ends one component, if it runs, and starts it again with the same arguments. */
  async restart(name: string, signal?: AbortSignal): Promise<void> {
    const component = this.#find(name).component;
    await this.halt(name);
    await this.start(component, signal);
  }

  /** Ends one component and leaves it ended, until `restart` or the end of all. */
  async halt(name: string): Promise<void> {
    await this.#find(name).child.stop();
  }

  /** Whether a component of that name was started here. */
  has(name: string): boolean {
    return this.#started.has(name);
  }

  /** The processes, in the order in which they were started. */
  children(): Child[] {
    return [...this.#started.values()].map(({ child }) => child);
  }

  /** Ends all of them and returns when they are gone. */
  async stop(): Promise<void> {
    for (const child of this.children().reverse()) await child.stop();
  }

  #find(name: string): { component: Component; child: Child } {
    const found = this.#started.get(name);
    if (found !== undefined) return found;
    throw new Error(`Cannot find component ${name}: there are ${[...this.#started.keys()].join(", ")}`);
  }
}
