import { execFileSync } from "node:child_process";
import { projectDirectory } from "../cluster/images/project-images.ts";

/** The commit of this tree, with a mark where it has changes; "unknown" where the tree is no clone. */
export function commitOfTree(): string {
  const git = (...args: string[]) =>
    execFileSync("git", args, { cwd: projectDirectory, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    return `${git("rev-parse", "--short=12", "HEAD")}${git("status", "--porcelain") === "" ? "" : "+changes"}`;
  } catch {
    // An unpacked archive, or a machine without git: what was measured is still worth printing.
    return "unknown";
  }
}
