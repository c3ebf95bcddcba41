import { accountingFinalizer, finalSaveFinalizer } from "./api/names.ts";
import type { ReleaseConfig } from "./config.ts";
import { trainingRuns } from "./control/caches.ts";
import type { Log } from "./control/log.ts";
import { isConflict, isForbidden, isNotFound } from "./kubernetes/api-error.ts";
import type { ApiClient, Bound, Page } from "./kubernetes/client.ts";
import { type KubeObject, keyOf } from "./kubernetes/kube-object.ts";
import { leases } from "./kubernetes/lease-record.ts";
import { pods, type Resource, type Target } from "./kubernetes/resource.ts";
import { sleep } from "./kubernetes/sleep.ts";
import { removeFinalizer } from "./kubernetes/writes.ts";

// `release`: what the chart runs before it is uninstalled. A finalizer that nobody is left to take off would keep runs,
// pods and whole namespaces in deletion for ever (L5).
//
//   scale the operator to 0 ─► its pods are gone ─► take our finalizers off ─► look again ─► nothing is held: done
//                              and so is its Lease           ▲                     │
//                                                            └── some still are ───┘
//
// The operator goes first, because it would put them on again. Nothing else is written: pods train on, no object but
// the Lease is deleted, and finalizers of others stay. Dying anywhere on the way and beginning anew leads to the same end.

export type ReleaseOptions = Pick<ReleaseConfig, "operator" | "watchNamespaces" | "timeoutSeconds"> &
  Readonly<{ client: ApiClient; log: Log }>;

/** How many objects were let go. */
export type Released = Readonly<{ runs: number; pods: number }>;

/** Objects that still carry a finalizer of ours when the time is over. */
export class StillHeldError extends Error {
  override readonly name = "StillHeldError";
}

/**
 * Stops the operator, then takes its finalizers off every run and every pod of the watched namespaces.
 *
 * @throws {StillHeldError} naming what is still held when the time is over; beginning anew goes on from there.
 */
export async function release(options: ReleaseOptions, bound: Bound): Promise<Released> {
  const { timeoutSeconds } = options;
  const deadline = AbortSignal.timeout(timeoutSeconds * 1000);
  const within = { signal: AbortSignal.any([bound.signal, deadline]) };
  const released = { runs: 0, pods: 0 };
  const refusals = new NamespaceRefusals(options);
  let held: readonly Held[] = [];
  try {
    if ((await stopOperator(options, within)) === "Ended") await removeLease(options, within);
    for (;;) {
      held = await findHeld(options, { bound: within, refusals });
      if (held.length === 0 && !refusals.areDoubtful) return released;
      const round = await letGoAll(held, options, within);
      released.runs += round.runs;
      released.pods += round.pods;
      await sleep(pauseMs, within.signal);
    }
  } catch (cause) {
    if (!deadline.aborted) throw cause;
    throw stillHeld(held, timeoutSeconds, cause);
  }
}

type Held = Readonly<{ resource: Resource; finalizer: string; object: KubeObject }>;

/** What carries a finalizer of ours. */
const finalizers = [
  [trainingRuns, finalSaveFinalizer],
  [pods, accountingFinalizer],
] as const;
const deployments = { group: "apps", version: "v1", plural: "deployments", kind: "Deployment", scope: "Namespaced" };
const pauseMs = 500;
const pageSize = "500";
const mostNamed = 10;
const longestDoubtMs = 5_000;

/**
 * An operator that does not end, such as one on a node that is lost, is waited for during half of the time only:
 * what it still puts on is seen when looking again.
 */
async function stopOperator(
  { client, log, operator, timeoutSeconds }: ReleaseOptions,
  bound: Bound,
): Promise<"Ended" | "GoesOn"> {
  const { namespace, deployment: name, selector } = operator;
  const target = { resource: deployments as Resource, namespace, name, subresource: "scale" };
  try {
    await client.mergePatch(target, { spec: { replicas: 0 } }, bound);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  const endsAt = performance.now() + timeoutSeconds * 500;
  for (;;) {
    const { items } = await client.list({ resource: pods, namespace }, { labelSelector: selector }, bound);
    if (items.length === 0) return "Ended";
    if (performance.now() > endsAt) {
      log("warn", "the operator's pod does not end; going on without waiting for it", { pods: items.map(keyOf) });
      return "GoesOn";
    }
    await sleep(pauseMs, bound.signal);
  }
}

/** The operator made it, so nobody else takes it away. One that stays is in nobody's way, and no reason to end here. */
async function removeLease({ client, log, operator }: ReleaseOptions, bound: Bound): Promise<void> {
  const { namespace, lease: name } = operator;
  const target = { resource: leases, namespace, name };
  try {
    const { metadata } = await client.get(target, bound);
    await client.remove(target, { preconditions: { uid: metadata.uid } }, bound);
  } catch (error) {
    if (bound.signal.aborted) throw error;
    if (!isNotFound(error)) log("warn", "the Lease stays", { lease: `${namespace}/${name}`, error });
  }
}

/** All pods are looked at, not only those with our labels: somebody may have taken the labels off. */
async function findHeld(
  { client, watchNamespaces }: ReleaseOptions,
  { bound, refusals }: Readonly<{ bound: Bound; refusals: NamespaceRefusals }>,
): Promise<readonly Held[]> {
  if (watchNamespaces.length === 0) return await findHeldIn(undefined, client, bound);
  const held: Held[] = [];
  for (const namespace of watchNamespaces) {
    try {
      held.push(...(await findHeldIn(namespace, client, bound)));
      refusals.clear(namespace);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      refusals.note(namespace, error);
    }
  }
  return held;
}

/**
 * Namespaces that we may not look into. Our Role goes with its namespace, and what was in there as well: that is
 * nothing to wait for. But a server that has just started refuses too, until it has read its roles, so a refusal only
 * counts once it has lasted.
 */
class NamespaceRefusals {
  readonly #options: ReleaseOptions;
  readonly #lastingMs: number;
  readonly #since = new Map<string, number>();
  readonly #lasting = new Set<string>();

  constructor(options: ReleaseOptions) {
    this.#options = options;
    this.#lastingMs = Math.min(longestDoubtMs, options.timeoutSeconds * 250);
  }

  /** Whether a namespace is refused that may yet be shown. */
  get areDoubtful(): boolean {
    return this.#since.size > this.#lasting.size;
  }

  note(namespace: string, error: unknown): void {
    const now = performance.now();
    const since = this.#since.get(namespace) ?? now;
    this.#since.set(namespace, since);
    if (now - since < this.#lastingMs || this.#lasting.has(namespace)) return;
    this.#lasting.add(namespace);
    this.#options.log("warn", "a namespace is left out, because it is gone or its Role is", { namespace, error });
  }

  clear(namespace: string): void {
    this.#since.delete(namespace);
    this.#lasting.delete(namespace);
  }
}

async function findHeldIn(namespace: string | undefined, client: ApiClient, bound: Bound): Promise<readonly Held[]> {
  const held: Held[] = [];
  for (const [resource, finalizer] of finalizers) {
    for await (const object of everyObject({ resource, namespace }, client, bound)) {
      if (object.metadata.finalizers?.includes(finalizer)) held.push({ resource, finalizer, object });
    }
  }
  return held;
}

async function* everyObject(target: Target, client: ApiClient, bound: Bound): AsyncGenerator<KubeObject> {
  let next: string | undefined;
  do {
    const page: Page<KubeObject> | null = await onePage(target, { client, bound, next });
    yield* page?.items ?? [];
    next = page?.metadata.continue || undefined;
  } while (next !== undefined);
}

/** Null where the kind is gone: its CRD was deleted, and every object with it. */
async function onePage(
  target: Target,
  { client, bound, next }: { client: ApiClient; bound: Bound; next: string | undefined },
): Promise<Page<KubeObject> | null> {
  try {
    return await client.list<KubeObject>(target, { limit: pageSize, continue: next }, bound);
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/** Tries every one of them before it throws the first refusal, so that one object does not hold the others. */
async function letGoAll(held: readonly Held[], { client, log }: ReleaseOptions, bound: Bound): Promise<Released> {
  const released = { runs: 0, pods: 0 };
  const refusals: unknown[] = [];
  for (const { resource, finalizer, object } of held) {
    const { namespace = "", name, uid, finalizers: carried = [] } = object.metadata;
    const removal = { resource, exact: { namespace, name, uid }, finalizers: carried, finalizer };
    try {
      if ((await removeFinalizer(client, removal, bound)) === "Absent") continue;
      released[resource === pods ? "pods" : "runs"] += 1;
      log("info", "took the finalizer off", { kind: resource.kind, object: keyOf(object) });
    } catch (error) {
      if (bound.signal.aborted) throw error;
      // A conflict: the object has changed since it was read, and is looked at again.
      if (!isConflict(error)) refusals.push(error);
    }
  }
  if (refusals.length > 0) throw refusals[0];
  return released;
}

function stillHeld(held: readonly Held[], timeoutSeconds: number, cause: unknown): StillHeldError {
  const named = held.slice(0, mostNamed).map(({ resource, object }) => `${resource.kind} ${keyOf(object)}`);
  const rest = held.length > named.length ? ` and ${held.length - named.length} more` : "";
  const what = named.length === 0 ? "it is not known which objects are held" : `${named.join(", ")}${rest} may be held`;
  return new StillHeldError(
    `Cannot let every run and pod go because ${timeoutSeconds} s are over and ${what}: uninstall again, or take the finalizers off by hand`,
    { cause },
  );
}
