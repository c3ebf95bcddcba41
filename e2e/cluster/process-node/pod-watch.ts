import { z } from "zod";
import type { ApiClient } from "../control-plane/api-client.ts";
import { Backoff, pause } from "./backoff.ts";
import { Pod } from "./pod/pod.ts";

/** Who is told what about the pods of a node. */
export interface PodListener {
  /** A pod is there, for the first time or changed. */
  readonly onPod: (pod: Pod) => void;
  /** The pod with this uid is gone from the API server. */
  readonly onGone: (uid: string) => void;
  /** The list or watch failed; another try follows. */
  readonly onError: (error: unknown) => void;
}

const path = "/api/v1/pods";
const watchSeconds = 300;

const PodList = z.object({ metadata: z.object({ resourceVersion: z.string() }), items: z.array(z.unknown()) });
const WatchEvent = z.discriminatedUnion("type", [
  z.object({ type: z.enum(["ADDED", "MODIFIED"]), object: z.unknown() }),
  z.object({ type: z.literal("DELETED"), object: z.object({ metadata: z.object({ uid: z.string() }) }) }),
  z.object({ type: z.literal("BOOKMARK"), object: z.object({}) }),
  z.object({
    type: z.literal("ERROR"),
    object: z.object({ code: z.int().optional(), message: z.string().optional() }),
  }),
]);

/**
 * Follows the pods bound to a node until the signal. Whatever goes wrong, it lists again: a list is cheap for the few
 * pods of one node, and it is the one way of catching up that is right after every kind of error.
 */
export async function watchPods(
  client: ApiClient,
  options: { nodeName: string; listener: PodListener; signal: AbortSignal },
): Promise<void> {
  const { listener, signal } = options;
  const selector = { fieldSelector: `spec.nodeName=${options.nodeName}` };
  const known = new Set<string>();
  const backoff = new Backoff(100, 5_000);
  while (!signal.aborted) {
    try {
      const list = PodList.parse(await client.call({ method: "GET", path, query: selector, signal }));
      announce(readable(list.items, listener), known, listener);
      const query = {
        ...selector,
        watch: "1",
        resourceVersion: list.metadata.resourceVersion,
        timeoutSeconds: String(watchSeconds),
      };
      backoff.reset();
      for await (const line of client.lines(path, query, signal)) handle(line, known, listener);
    } catch (error) {
      if (signal.aborted) return;
      listener.onError(error);
    }
    // Also after a watch that ended in good order: a server that closes every watch at once must not make us spin.
    await pause(backoff.next(), signal);
  }
}

function announce(pods: readonly Pod[], known: Set<string>, listener: PodListener): void {
  const present = new Set(pods.map((pod) => pod.metadata.uid));
  for (const uid of [...known].filter((uid) => !present.has(uid))) {
    known.delete(uid);
    listener.onGone(uid);
  }
  for (const pod of pods) {
    known.add(pod.metadata.uid);
    listener.onPod(pod);
  }
}

/** Leaves out, and reports, what is not a pod as we know them: one odd pod must not blind the node for all others. */
function readable(objects: readonly unknown[], listener: PodListener): Pod[] {
  return objects.flatMap((object) => {
    const pod = Pod.safeParse(object);
    if (!pod.success) listener.onError(new Error("Cannot read a pod that is bound to this node", { cause: pod.error }));
    return pod.success ? [pod.data] : [];
  });
}

function handle(line: string, known: Set<string>, listener: PodListener): void {
  const event = WatchEvent.parse(JSON.parse(line));
  switch (event.type) {
    case "ADDED":
    case "MODIFIED":
      for (const pod of readable([event.object], listener)) {
        known.add(pod.metadata.uid);
        listener.onPod(pod);
      }
      return;
    case "DELETED":
      known.delete(event.object.metadata.uid);
      listener.onGone(event.object.metadata.uid);
      return;
    case "BOOKMARK":
      return;
    case "ERROR":
      throw new Error(`Cannot go on watching because of ${event.object.code}: ${event.object.message}`);
    default:
      event satisfies never;
  }
}
