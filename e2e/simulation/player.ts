import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** No play takes so long, on a busy machine and with the start of its Node: the Node of one that does is ended. */
const longestPlayMs = 120_000;
/** After so many plays a Node makes way for another: whatever plays leave in its memory is bounded by this. */
const mostPlays = 2_000;

/** The Node that played has hung, or has come to an end. */
export class NodeLostError extends Error {
  override readonly name = "NodeLostError";
}

type PlayingNode = Readonly<{
  child: ChildProcessByStdio<Writable, Readable, null>;
  lines: AsyncIterator<string>;
  closed: Promise<unknown>;
}>;

/**
 * Has one play after the other played in a Node of its own, by a program that answers each line of JSON with another. A
 * Node that is lost is replaced for the next play. One play at a time.
 */
export class Player<Asked, Answer> {
  readonly #program: string;
  readonly #environment: Readonly<Record<string, string>>;
  #node: PlayingNode | null = null;
  #plays = 0;

  /** `environment` is added to what this process has. */
  constructor(program: string, environment: Readonly<Record<string, string>> = {}) {
    this.#program = program;
    this.#environment = environment;
  }

  /** @throws {NodeLostError} where the Node hung or ended over it */
  async play(asked: Asked): Promise<Answer> {
    if (this.#plays === mostPlays) await this.close();
    this.#node ??= start(this.#program, this.#environment);
    this.#plays += 1;
    const { child, lines } = this.#node;
    const hangs = setTimeout(() => child.kill("SIGKILL"), longestPlayMs);
    child.stdin.write(`${JSON.stringify(asked)}\n`);
    const line = await lines.next().finally(() => clearTimeout(hangs));
    if (line.done !== true) return JSON.parse(line.value);
    await this.close();
    throw new NodeLostError(
      `its Node hung for ${longestPlayMs} ms, or is gone (${child.signalCode ?? child.exitCode})`,
    );
  }

  /** Lets the Node end; returns when it has. */
  async close(): Promise<void> {
    const node = this.#node;
    this.#node = null;
    this.#plays = 0;
    if (node === null) return;
    node.child.stdin.end();
    await node.closed;
  }

  /** Ends the Node in the middle of its play, which is lost. */
  kill(): void {
    this.#node?.child.kill("SIGKILL");
  }
}

function start(program: string, environment: Readonly<Record<string, string>>): PlayingNode {
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "inherit"], env });
  // Of a Node that is gone its lines tell, by their end.
  child.stdin.on("error", () => undefined);
  return {
    child,
    lines: createInterface({ input: child.stdout })[Symbol.asyncIterator](),
    closed: once(child, "close"),
  };
}
