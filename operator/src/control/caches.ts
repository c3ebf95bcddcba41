import { group, labels, plural, version } from "../api/names.ts";
import { claimNameOf } from "../core/names.ts";
import { type ApiError, isForbidden } from "../kubernetes/api-error.ts";
import { ObjectCache } from "../kubernetes/cache.ts";
import type { ApiClient } from "../kubernetes/client.ts";
import { controllerUid, type KubeObject } from "../kubernetes/kube-object.ts";
import { Reflector, type ReflectorTiming } from "../kubernetes/reflector.ts";
import { claims, nodes, pods, type Resource } from "../kubernetes/resource.ts";
import { runKeyOf } from "./pod-owner.ts";
import { parsedRun } from "./run-cache.ts";

/** The resource this operator is for. */
export const trainingRuns = {
  group,
  version,
  plural,
  kind: "TrainingRun",
  scope: "Namespaced",
} as const satisfies Resource;

/** What to keep a copy of, and of which namespaces. */
export type CachesOptions = Readonly<{
  client: ApiClient;
  /** Empty: all. Otherwise one watch per kind and namespace, so that a Role in each is enough. */
  namespaces: readonly string[];
  /** Nodes are cluster-scoped and need a ClusterRole; without it nothing is known about them. */
  watchNodes: boolean;
  onError: (error: unknown, about: string) => void;
  timing?: Partial<ReflectorTiming>;
}>;

/** The operator's copy of the cluster: runs, their pods, all claims, all nodes. */
export class Caches {
  /** By uid, and by the `namespace/claim` they use. */
  readonly runs: ObjectCache<KubeObject>;
  /** By the uid of their controller, by the `namespace/name` of the run that this is, and by node. */
  readonly pods: ObjectCache<KubeObject>;
  readonly claims: ObjectCache<KubeObject>;
  /** Undefined where nodes are not watched. */
  readonly nodes: ObjectCache<KubeObject> | undefined;
  readonly reflectors: readonly Reflector<KubeObject>[];
  readonly #scopes = new Map<string, Scope>();
  readonly #options: CachesOptions;

  constructor(options: CachesOptions) {
    this.#options = options;
    this.runs = new ObjectCache({ claim: claimOf });
    this.pods = new ObjectCache({ owner: ownerOf, run: runOf, node: nodeOf });
    this.claims = new ObjectCache();
    this.nodes = options.watchNodes ? new ObjectCache() : undefined;
    for (const namespace of options.namespaces.length === 0 ? [undefined] : options.namespaces) {
      this.#reflect(trainingRuns, this.runs, { namespace });
      this.#reflect(pods, this.pods, { namespace, labelSelector: labels.run });
      this.#reflect(claims, this.claims, { namespace, trim: onlyWhatConcernsRuns });
    }
    if (this.nodes !== undefined) this.#reflect(nodes, this.nodes, { trim: onlyWhatTellsOfLoss });
    this.reflectors = [...this.#scopes.values()].map(({ reflector }) => reflector);
  }

  /** Keeps the copy up to date until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.reflectors.map((reflector) => reflector.run(signal)));
  }

  /** Whether each kind has been listed whole once, in every namespace. */
  get hasSynced(): boolean {
    return this.reflectors.every((reflector) => reflector.hasSynced);
  }

  /** Whether what concerns runs of this namespace has been listed whole once; before, nothing may be decided there. */
  isSyncedFor(namespace: string): boolean {
    const scopes = [...this.#scopes.values()].filter((scope) => (scope.namespace ?? namespace) === namespace);
    return scopes.every(({ reflector }) => reflector.hasSynced);
  }

  /**
   * The namespaces that the server refuses to show, with its words: their Role is gone, with its namespace perhaps, or
   * was never there. Not served, and no reason not to serve the others.
   */
  get refused(): ReadonlyMap<string, string> {
    const refused = [...this.#scopes.values()].filter(isRefused);
    return new Map(
      refused.flatMap(({ namespace, refusal }) => (namespace && refusal ? [[namespace, refusal.words]] : [])),
    );
  }

  /** The watches that this process must have to be of use: all of them but those of refused namespaces, if any is shown. */
  get needed(): readonly Reflector<KubeObject>[] {
    const { refused } = this;
    if (refused.size === this.#options.namespaces.length) return this.reflectors;
    const scopes = [...this.#scopes.values()].filter(
      ({ namespace }) => namespace === undefined || !refused.has(namespace),
    );
    return scopes.map(({ reflector }) => reflector);
  }

  /**
   * Resolves once the copy holds all that was written before this call: who takes over from another process begins
   * with a fresh picture, however long its own watches were stalled. A namespace that is refused is not waited for.
   */
  async refresh(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#scopes.values()].map((scope) => refreshed(scope, signal)));
  }

  /** Whether the copy shows an object of this kind. Of pods it shows those of runs, and only while they say so. */
  keeps(resource: Resource, object: KubeObject): boolean {
    return resource.plural !== pods.plural || object.metadata.labels?.[labels.run] !== undefined;
  }

  /**
   * Whether the copy holds what a write did that was answered with this version, at that instant of the monotonic
   * clock. A kind that is not watched never waits.
   */
  hasSeen(resource: Resource, namespace: string, answer: Readonly<{ resourceVersion: string; at: number }>): boolean {
    const scope = this.#scopes.get(`${resource.plural}/${namespace}`) ?? this.#scopes.get(`${resource.plural}/`);
    return scope?.reflector.hasSeen(answer.resourceVersion, answer.at) ?? true;
  }

  #reflect(
    resource: Resource,
    cache: ObjectCache<KubeObject>,
    how: Readonly<{
      namespace?: string | undefined;
      labelSelector?: string;
      trim?: (object: KubeObject) => KubeObject;
    }>,
  ): void {
    const { client, onError, timing } = this.#options;
    const reflector = new Reflector<KubeObject>({
      client,
      cache,
      resource,
      namespace: how.namespace,
      labelSelector: how.labelSelector,
      trim: how.trim ?? withoutManagedFields,
      onError: (error, about) => {
        scope.refusal = isForbidden(error) ? { words: error.detail, heardAt: reflector.lastEventAt } : undefined;
        if (isForbidden(error)) tellRefused(scope, error);
        onError(error, about);
      },
      ...(timing === undefined ? {} : { timing }),
    });
    const scope: Scope = { reflector, namespace: how.namespace, refusal: undefined, refused: new AbortController() };
    this.#scopes.set(`${resource.plural}/${how.namespace ?? ""}`, scope);
  }
}

/** What one reflector keeps. `refusal` is the last answer where that was one, and when anything was heard before it. */
type Scope = {
  readonly reflector: Reflector<KubeObject>;
  readonly namespace: string | undefined;
  refusal: Readonly<{ words: string; heardAt: number }> | undefined;
  /** Aborted by the next refusal. */
  refused: AbortController;
};

function tellRefused(scope: Scope, error: ApiError): void {
  const { refused } = scope;
  scope.refused = new AbortController();
  refused.abort(error);
}

async function refreshed({ reflector, namespace, refused }: Scope, signal: AbortSignal): Promise<void> {
  const either = namespace === undefined ? signal : AbortSignal.any([signal, refused.signal]);
  try {
    await reflector.refresh(either);
  } catch (error) {
    if (signal.aborted || !refused.signal.aborted) throw error;
  }
}

function isRefused({ reflector, refusal }: Scope): boolean {
  return refusal !== undefined && refusal.heardAt === reflector.lastEventAt;
}

function withoutManagedFields(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

// All claims are watched, since a run may name any of them; what is decided by is little.
function onlyWhatConcernsRuns(claim: KubeObject): KubeObject {
  const { managedFields: _, annotations: __, ...metadata } = claim.metadata;
  const spec = claim.spec as { accessModes?: unknown } | undefined;
  const status = claim.status as { phase?: unknown } | undefined;
  return { metadata, spec: { accessModes: spec?.accessModes }, status: { phase: status?.phase } };
}

// A node's object is large and changes often; what decides about a lost node is small and rarely changes.
function onlyWhatTellsOfLoss(object: KubeObject): KubeObject {
  const { name, uid, resourceVersion } = object.metadata;
  const spec = object.spec as { taints?: unknown } | undefined;
  const status = object.status as { conditions?: unknown } | undefined;
  return {
    metadata: { name, uid, resourceVersion },
    spec: { taints: spec?.taints },
    status: { conditions: status?.conditions },
  };
}

function ownerOf(pod: KubeObject): readonly string[] {
  const uid = controllerUid(pod);
  return uid === undefined ? [] : [uid];
}

function runOf(pod: KubeObject): readonly string[] {
  const run = runKeyOf(pod);
  return run === undefined ? [] : [run];
}

function nodeOf(pod: KubeObject): readonly string[] {
  const node = (pod.spec as { nodeName?: string } | undefined)?.nodeName;
  return node === undefined ? [] : [node];
}

function claimOf(raw: KubeObject): readonly string[] {
  const parsed = parsedRun(raw);
  const name = parsed.kind === "Run" ? claimNameOf(parsed.run) : null;
  return name === null ? [] : [`${raw.metadata.namespace}/${name}`];
}
