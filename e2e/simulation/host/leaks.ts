/** What this Node holds of the real machine: timers, requests, handles. */
export function activeResources(): readonly string[] {
  return process.getActiveResourcesInfo().toSorted();
}

/** What is held now beyond what was held before: after a play it must be nothing, or real time has leaked into it. */
export function leakedSince(before: readonly string[]): readonly string[] {
  const expected = [...before];
  return activeResources().filter((resource) => {
    const at = expected.indexOf(resource);
    if (at >= 0) expected.splice(at, 1);
    return at < 0;
  });
}
