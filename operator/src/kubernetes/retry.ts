import { ApiError, NoAnswerError } from "./api-error.ts";
import { type BackoffOptions, backoffMs } from "./backoff.ts";
import { sleep } from "./sleep.ts";

// One request of the client. Its place in the limit is held while it is under way, and not while it pauses.
//
//   ┌─────────┐ a place   ┌───────────┐ an answer to pass on
//   │ Waiting │ ────────► │ Under way │ ──────────────────────► Answered
//   └─────────┘           └───────────┘
//        ▲                      │ no answer in time, connection lost, 401, 429, 5xx
//        │ pause over:          ▼
//        │ Retry-After     may it be sent again? ── no, or tries used up, or the pause too long ──► Failed
//        │ or back-off          │ yes
//        └──────────────── ┌────────┐
//                          │ Paused │        whoever leaves meanwhile ends any of these at once: Failed
//                          └────────┘

/**
 * What a repeat of a request may do. A `Repeatable` one may be sent again whatever became of the first: reads,
 * and writes that name the outcome. A `Once` one is sent again only where the server said, or the missing
 * connection shows, that nothing was done.
 */
export type Repeat = "Repeatable" | "Once";

/** How often and how patiently a request is repeated before the caller hears of it. */
export type RetryOptions = Readonly<{ tries: number; backoff: BackoffOptions; longestRetryAfterMs: number }>;

/** Sends until there is an answer to pass on. The last error is thrown as it came. */
export async function withRetries<T>(
  send: () => Promise<T>,
  options: RetryOptions & Readonly<{ repeat: Repeat; signal: AbortSignal; longestPauseMs?: number | undefined }>,
): Promise<T> {
  const { longestPauseMs = Number.POSITIVE_INFINITY } = options;
  for (let tried = 1; ; tried += 1) {
    try {
      return await send();
    } catch (error) {
      if (tried >= options.tries || options.signal.aborted || !mayRepeat(error, options.repeat)) throw error;
      const asked = error instanceof ApiError ? error.retryAfterMs : undefined;
      const own = backoffMs(tried, options.backoff);
      const pauseMs = asked === undefined ? own : Math.max(own, Math.min(asked, options.longestRetryAfterMs));
      if (pauseMs > longestPauseMs) throw error;
      await sleep(pauseMs, options.signal);
    }
  }
}

function mayRepeat(error: unknown, repeat: Repeat): boolean {
  if (error instanceof NoAnswerError) return repeat === "Repeatable" || error.neverSent;
  if (!(error instanceof ApiError)) return false;
  // 401: the credentials are read again first. 429: priority and fairness turned the request away unseen.
  if (error.status === 401 || error.status === 429) return true;
  return repeat === "Repeatable" && error.status >= 500 && error.status !== 501;
}
