/**
 * The one request to stop of this process. The handlers are installed when this file is imported, which main does first:
 * a signal that comes while the rest is being loaded is heard, and what was begun ends in order.
 */
const controller = new AbortController();

for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => controller.abort());

/** Aborted once the process is asked to stop. */
export const stop: AbortSignal = controller.signal;
