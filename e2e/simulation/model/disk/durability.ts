import type { DirectoryInode, Inode } from "./inode.ts";

/** What a power cut could take of a directory and all below it, by its path: bytes, and names. Empty where it can take nothing. */
export function lackingDurability(name: string, { inode, parent }: { inode: Inode; parent: DirectoryInode }): string[] {
  const own = parent.durable.get(name) === inode ? [] : [`the name ${name}`];
  if (inode.kind === "file") return inode.content.isDurable ? own : [...own, `bytes of ${name}`];
  if (inode.kind === "link") return own;
  const inner = [...inode.seen].flatMap(([child, each]) => lackingDurability(child, { inode: each, parent: inode }));
  return [...own, ...inner.map((lacking) => `${lacking} in ${name}`)];
}
