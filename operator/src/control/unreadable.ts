import { z } from "zod";
import { Condition } from "../api/conditions.ts";
import { managedBy } from "../api/names.ts";
import { isTrue, setCondition } from "../core/conditions.ts";
import { isRefusal } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { mergePatchOf } from "../kubernetes/merge-patch.ts";
import type { Resource } from "../kubernetes/resource.ts";
import { trainingRuns } from "./caches.ts";

const Stored = z.looseObject({
  spec: z.looseObject({ managedBy: z.string().default(managedBy) }),
  status: z.looseObject({ conditions: z.array(Condition.loose()).default([]) }).prefault({}),
});

/** Where it is told that a run cannot be read. */
export type UnreadableWriter = Readonly<{
  client: ApiClient;
  now: () => number;
  written: (resource: Resource, object: KubeObject) => void;
}>;

/**
 * Says in its conditions that a run cannot be read, and touches nothing else of its status: another version wrote that and
 * will read it. Where the conditions themselves cannot be read, or the API server takes none, the event has to do.
 */
export async function writeUnreadable(
  raw: KubeObject,
  message: string,
  { client, now, written }: UnreadableWriter,
  bound: Bound,
): Promise<void> {
  const stored = Stored.safeParse(raw);
  if (!stored.success || stored.data.spec.managedBy !== managedBy) return;
  const { conditions } = stored.data.status;
  // A run that is over does not progress because of that.
  if (isTrue(conditions, "Complete") || isTrue(conditions, "Failed")) return;
  const statement = { type: "Progressing", status: "Unknown", reason: "Unreadable", message } as const;
  const next = setCondition(conditions, statement, { now: now(), generation: raw.metadata.generation ?? 0 });
  const change = mergePatchOf({ conditions }, { conditions: next });
  if (change === undefined) return;
  const { namespace = "", name, uid, resourceVersion } = raw.metadata;
  const target = { resource: trainingRuns, namespace, name, subresource: "status" };
  try {
    written(
      trainingRuns,
      await client.mergePatch(target, { metadata: { uid, resourceVersion }, status: change }, bound),
    );
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
}
