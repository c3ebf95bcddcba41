import { claims, pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { claimProtection } from "./built-in-kinds.ts";
import { type ControllerOptions, Errands } from "./errands.ts";
import type { ModelApi } from "./model-api.ts";
import { fieldsOf, keyIn, listOf, type StoredObject } from "./object.ts";

/** Lets a claim that is being deleted go once no pod that has a node uses it. */
export class ClaimProtection {
  readonly #api: ModelApi;
  readonly #errands: Errands;

  constructor(api: ModelApi, options: ControllerOptions) {
    this.#api = api;
    this.#errands = new Errands(options, (key) => this.#look(key));
    api.store.listen((resource, { type, object }) => {
      if (resource.plural === claims.plural && isHeldBack(object)) this.#errands.ask(keyIn(object.metadata));
      if (resource.plural === pods.plural && type === "DELETED") {
        for (const claim of claimsOf(object)) this.#errands.ask(claim);
      }
    });
  }

  #look(key: string): void {
    const claim = this.#api.store.get(claims, key)?.object;
    if (claim === undefined || !isHeldBack(claim)) return;
    const { namespace, name, finalizers = [] } = claim.metadata;
    const isUsed = this.#api.store
      .list(pods, namespace)
      .some(({ object }) => fieldsOf(object.spec).nodeName !== undefined && claimsOf(object).includes(key));
    if (isUsed) return;
    const left = finalizers.filter((each) => each !== claimProtection);
    const patch = { metadata: { finalizers: left } };
    this.#api.patch({ resource: claims, namespace, name }, "application/merge-patch+json", patch);
  }
}

function isHeldBack({ metadata: { deletionTimestamp, finalizers } }: StoredObject): boolean {
  return deletionTimestamp !== undefined && finalizers?.includes(claimProtection) === true;
}

/** The claims that a pod uses, as `namespace/name`. */
function claimsOf(pod: StoredObject): readonly string[] {
  return listOf(fieldsOf(pod.spec).volumes).flatMap((volume) => {
    const { claimName } = fieldsOf(fieldsOf(volume).persistentVolumeClaim);
    return typeof claimName === "string" ? [`${pod.metadata.namespace}/${claimName}`] : [];
  });
}
