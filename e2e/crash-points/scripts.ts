import { operatorScripts } from "./operator-scripts.ts";
import { podScripts } from "./pod-scripts.ts";
import type { Script } from "./script.ts";

/** Every script whose writes are cut in the simulation. */
export const scripts: readonly Script[] = [...operatorScripts, ...podScripts];
