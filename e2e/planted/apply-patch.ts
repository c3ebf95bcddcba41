/** One change of a file: the lines that are there before, and what takes their place. */
type Hunk = Readonly<{ before: readonly string[]; after: readonly string[] }>;

/** What a patch does to one file, by the file's path from the root of the tree. */
export type FilePatch = Readonly<{ path: string; hunks: readonly Hunk[] }>;

/** A patch does not apply to the present text: the code it was made for has changed. */
export class PatchDoesNotApplyError extends Error {
  override readonly name = "PatchDoesNotApplyError";
}

/** Reads a unified diff. Files are only ever changed by it: it makes none and takes none away. */
export function parsePatch(text: string): FilePatch[] {
  const files: { path: string; hunks: { before: string[]; after: string[] }[] }[] = [];
  for (const line of text.replace(/\n$/, "").split("\n")) {
    const path = /^\+\+\+ b\/(\S+)$/.exec(line)?.[1];
    const file = files.at(-1);
    if (path !== undefined) files.push({ path, hunks: [] });
    else if (line.startsWith("--- ")) continue;
    else if (file === undefined) throw new SyntaxError(`Cannot read the patch because it begins with: ${line}`);
    else if (line.startsWith("@@ ")) file.hunks.push({ before: [], after: [] });
    else take(file.hunks.at(-1), line);
  }
  return files;
}

/**
 * The texts after a patch, by path. A hunk belongs where its lines stand, whatever its header says of their number: the
 * code above it may have grown. Where they stand twice or not at all, it does not apply.
 *
 * @throws {PatchDoesNotApplyError}
 */
export function applyPatch(patch: string, read: (path: string) => string): Map<string, string> {
  const patched = new Map<string, string>();
  for (const { path, hunks } of parsePatch(patch)) {
    patched.set(
      path,
      hunks.reduce((text, hunk) => withHunk(text, hunk, path), read(path)),
    );
  }
  return patched;
}

function take(hunk: { before: string[]; after: string[] } | undefined, line: string): void {
  const [sign, text] = [line.slice(0, 1), line.slice(1)];
  if (hunk === undefined || !["", " ", "-", "+"].includes(sign)) {
    throw new SyntaxError(`Cannot read the patch because a line is of no kind: ${line}`);
  }
  if (sign !== "+") hunk.before.push(text);
  if (sign !== "-") hunk.after.push(text);
}

function withHunk(text: string, { before, after }: Hunk, path: string): string {
  const lines = text.split("\n");
  const places = lines.flatMap((_, at) => (before.every((line, index) => lines[at + index] === line) ? [at] : []));
  const [place] = places;
  if (place === undefined || places.length > 1) {
    const how = place === undefined ? "not there" : `there ${places.length} times`;
    throw new PatchDoesNotApplyError(
      `Cannot apply a patch to ${path} because what it changes is ${how}; make it anew from the present text. It begins with: ${before[0]}`,
    );
  }
  return lines.toSpliced(place, before.length, ...after).join("\n");
}
