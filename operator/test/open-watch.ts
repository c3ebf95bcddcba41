import type { ServerResponse } from "node:http";

/** One open watch, and what can be done to it. */
export type OpenWatch = Readonly<{
  path: string;
  /** Ends it as a server does, between two lines. */
  end: () => void;
  /** Cuts the connection. */
  reset: () => void;
  /** Passes nothing on from now, and keeps the connection open. */
  stall: () => void;
  /** Sends half a line, then ends. */
  truncate: () => void;
  /** Sends a line that is no JSON; what follows is passed on as if nothing had been lost. */
  garble: () => void;
  /** Sends a line of our own. */
  say: (line: unknown) => void;
}>;

/** What can be done to a watch that goes on in this response, and whether it still passes on what the server says. */
export function openWatch(
  path: string,
  response: ServerResponse,
): Readonly<{ watch: OpenWatch; isStalled: () => boolean }> {
  let stalled = false;
  const line = JSON.stringify({ type: "MODIFIED", object: { metadata: { name: "cut-off" } } });
  const watch: OpenWatch = {
    path,
    end: () => response.end(),
    reset: () => response.socket?.resetAndDestroy(),
    stall: () => {
      stalled = true;
    },
    truncate: () => {
      stalled = true;
      response.end(line.slice(0, 40));
    },
    garble: () => response.write(`${line.slice(0, 40)}\n`),
    say: (said) => response.write(`${JSON.stringify(said)}\n`),
  };
  return { watch, isStalled: () => stalled };
}
