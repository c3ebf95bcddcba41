import { Caches } from "../src/control/caches.ts";
import { GangServices } from "../src/control/gang-services.ts";
import { observe } from "../src/control/observe.ts";
import { Problems } from "../src/control/problems.ts";
import { Refusals } from "../src/control/refusals.ts";
import type { Observed } from "../src/core/observed.ts";
import { type scriptedClient, until } from "./scripted-client.ts";

/** What is observed of team/mnist by fresh caches over this server, with no agent heard of. */
export async function observeOnce(
  client: ReturnType<typeof scriptedClient>,
  { watchNodes }: Readonly<{ watchNodes: boolean }>,
): Promise<Observed> {
  const caches = new Caches({ client, namespaces: ["team"], watchNodes, onError: () => undefined });
  const stop = new AbortController();
  const watching = caches.run(stop.signal);
  await until(() => caches.hasSynced);
  const problems = new Problems({ client, log: () => undefined });
  const unheard = { report: () => undefined, askingSince: () => undefined };
  const known = { refusals: new Refusals(), problems, gangServices: new GangServices() };
  const sources = { caches, client, ...unheard, ...known, now: Date.now };
  const seen = await observe("team/mnist", sources, { signal: stop.signal });
  stop.abort();
  await watching;
  if (seen.kind !== "Seen") throw new Error("The run was not seen");
  return seen.observed;
}
