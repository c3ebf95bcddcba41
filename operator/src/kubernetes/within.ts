/**
 * Does something under a signal of its own, which is aborted with the caller's or when the time is up. Nothing is left
 * of it afterwards, neither a timer nor a listener: thousands of requests a second end long before their time is up.
 */
export async function within<T>(
  limitMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const limit = new AbortController();
  const leave = () => limit.abort(signal.reason);
  const timer = setTimeout(() => limit.abort(new DOMException(`no end within ${limitMs} ms`, "TimeoutError")), limitMs);
  signal.addEventListener("abort", leave, { once: true });
  try {
    return await work(limit.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", leave);
  }
}
