import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, NoAnswerError } from "./api-error.ts";
import { pods } from "./resource.ts";
import { type Repeat, withRetries } from "./retry.ts";

const attempted = { method: "GET", target: { resource: pods } };
const failure = (code: string) => Object.assign(new Error("broken"), { code });
const answered = (status: number, retryAfterMs?: number) =>
  new ApiError(attempted, { status, reason: "", detail: "", retryAfterMs });
const lost = new NoAnswerError(attempted, failure("ECONNRESET"));
const neverMade = new NoAnswerError(attempted, failure("ECONNREFUSED"));

describe("a request that failed", () => {
  let sent: number[];

  beforeEach(() => {
    vi.useFakeTimers({ now: 0 });
    sent = [];
  });
  afterEach(() => void vi.useRealTimers());

  /** When it was sent, in milliseconds, where it fails with each error in turn and then does not. */
  async function times(
    errors: readonly Error[],
    options: Readonly<{ repeat?: Repeat; longestPauseMs?: number; signal?: AbortSignal }> = {},
  ): Promise<Readonly<{ sent: readonly number[]; end: unknown }>> {
    const left = [...errors];
    const ended = withRetries(
      async () => {
        sent.push(Date.now());
        const error = left.shift();
        if (error !== undefined) throw error;
        return "done";
      },
      {
        tries: 4,
        backoff: { firstMs: 100, maxMs: 1_000, random: () => 1 },
        longestRetryAfterMs: 5_000,
        repeat: "Repeatable",
        signal: new AbortController().signal,
        ...options,
      },
    ).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(60_000);
    return { sent, end: await ended };
  }

  const read: readonly [name: string, errors: readonly Error[], sent: number[], end: unknown][] = [
    ["is sent again, later each time", [lost, answered(503)], [0, 100, 300], "done"],
    ["is sent no more often than it may", [lost, lost, lost, lost], [0, 100, 300, 700], lost],
    ["is not sent again where the answer will be the same", [answered(404)], [0], expect.any(ApiError)],
    ["is not sent again where the server cannot do it", [answered(501)], [0], expect.any(ApiError)],
    ["waits as long as the server asks for", [answered(429, 3_000)], [0, 3_000], "done"],
    ["waits no longer than is sensible", [answered(503, 600_000)], [0, 5_000], "done"],
    ["is sent again with newly read credentials", [answered(401)], [0, 100], "done"],
  ];
  it.each(read)("%s", async (_, errors, expected, end) => {
    expect(await times(errors)).toEqual({ sent: expected, end });
  });

  const written: readonly [name: string, error: Error, sent: number][] = [
    ["where the server turned it away unseen", answered(429), 2],
    ["where the connection was never made", neverMade, 2],
    ["where we are not known yet", answered(401), 2],
    ["not where it may have been done", lost, 1],
    ["not where the server failed at it", answered(500), 1],
  ];
  it.each(written)("and may be done only once is sent again %s", async (_, error, count) => {
    expect((await times([error], { repeat: "Once" })).sent.length).toBe(count);
  });

  it("is told of at once where the next try is further off than its caller waits", async () => {
    const busy = answered(429, 30_000);
    expect(await times([busy], { longestPauseMs: 1_000 })).toEqual({ sent: [0], end: busy });
    sent = [];
    expect((await times([answered(429, 500)], { longestPauseMs: 1_000 })).end).toBe("done");
  });

  it("is not repeated for a caller that left", async () => {
    const left = AbortSignal.abort(new Error("left"));
    expect(await times([lost], { signal: left })).toEqual({ sent: [0], end: lost });
  });
});
