import { installHost } from "../install.ts";
import { activeResources, leakedSince } from "../leaks.ts";

// The host first, then what is played on it: a module that took Node's functions before would keep the real ones.
installHost();
const { playToys } = await import("./toys.ts");
const before = activeResources();
const [seed = "0", keep = "0"] = process.argv.slice(2);
const play = await playToys(seed, { keep: Number(keep) });
process.stdout.write(`${JSON.stringify({ ...play, leaked: leakedSince(before) })}\n`);
