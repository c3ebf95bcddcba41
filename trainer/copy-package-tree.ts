import { copyFileSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** What only people and compilers read, a third of all bytes, and links to programs that nobody runs in an image. */
const unneeded = /(\.map|\.ts|\.md|\.cc|\.h|^\.bin)$/;

/**
 * Copies what a program needs of an installed package's directory, with what its links lead to in their place: an image
 * holds nothing outside of it. (`cpSync` with `dereference` keeps links that are not at the top.)
 */
export function copyPackageTree(source: string, target: string): void {
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(source)) {
    if (unneeded.test(name)) continue;
    const [from, to] = [join(source, name), join(target, name)];
    if (statSync(from).isDirectory()) copyPackageTree(from, to);
    else copyFileSync(from, to);
  }
}
