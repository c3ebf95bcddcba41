/**
 * Whether a name is one that a pattern stands for. In a pattern `*` stands for any run of characters, `/` included, and
 * `?` for one; everything else stands for itself. No pattern takes more comparisons than the product of the two lengths.
 */
export function matchesPattern(pattern: string, name: string): boolean {
  let at = 0;
  let read = 0;
  let star = -1;
  let resumeAt = 0;
  while (read < name.length) {
    if (pattern[at] === "*") {
      star = at;
      resumeAt = read;
      at += 1;
    } else if (pattern[at] === "?" || (at < pattern.length && pattern[at] === name[read])) {
      at += 1;
      read += 1;
    } else if (star >= 0) {
      // The last star takes one character more, and the rest is tried again behind it.
      resumeAt += 1;
      read = resumeAt;
      at = star + 1;
    } else return false;
  }
  while (pattern[at] === "*") at += 1;
  return at === pattern.length;
}

/** Whether any of the patterns stands for the name. */
export function matchesAny(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matchesPattern(pattern, name));
}
