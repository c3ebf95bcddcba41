import { ApiError } from "../src/kubernetes/api-error.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { type LeaseRecord, leases, readLease } from "../src/kubernetes/lease-record.ts";

/** What a watch tells of the Lease. */
export type LeaseEvent = Readonly<{ type: "ADDED" | "MODIFIED" | "DELETED"; object: KubeObject }>;

/** The one Lease of a model API server, with its versions, its refusals, and who is told of changes. */
export class ModelLease {
  /** How often it was written, and how often a write was refused because it named another version. */
  readonly counts = { writes: 0, conflicts: 0 };
  readonly #onEvent: (event: LeaseEvent) => void;
  #stored: KubeObject | null = null;
  #version = 1;

  constructor(onEvent: (event: LeaseEvent) => void) {
    this.#onEvent = onEvent;
  }

  get record(): LeaseRecord | null {
    return this.#stored === null ? null : readLease(this.#stored);
  }

  /** The event that a new watch begins with. */
  get first(): LeaseEvent | undefined {
    return this.#stored === null ? undefined : { type: "ADDED", object: this.#stored };
  }

  get(): KubeObject {
    if (this.#stored === null) throw refusal(404, "NotFound");
    return this.#stored;
  }

  create(object: KubeObject): KubeObject {
    if (this.#stored !== null) throw refusal(409, "AlreadyExists");
    const metadata = { ...object.metadata, namespace: "ns", uid: `uid-${this.#version}` };
    return this.#store({ ...object, metadata }, "ADDED");
  }

  /** A merge patch of the version that it names. */
  swap(patch: KubeObject): KubeObject {
    const stored = this.get();
    const { uid, resourceVersion } = patch.metadata;
    if (uid !== stored.metadata.uid || resourceVersion !== stored.metadata.resourceVersion) {
      this.counts.conflicts += 1;
      throw refusal(409, "Conflict");
    }
    return this.#store({ ...stored, spec: { ...(stored.spec as object), ...(patch.spec as object) } }, "MODIFIED");
  }

  /** Changes it by hand. */
  edit(spec: Readonly<Record<string, unknown>>): void {
    const stored = this.#stored;
    if (stored !== null) this.#store({ ...stored, spec: { ...(stored.spec as object), ...spec } }, "MODIFIED");
  }

  /** Deletes it by hand. */
  delete(): void {
    const gone = this.#stored;
    if (gone === null) return;
    this.#stored = null;
    this.#onEvent({ type: "DELETED", object: this.#versioned(gone) });
  }

  #store(object: KubeObject, type: "ADDED" | "MODIFIED"): KubeObject {
    const stored = this.#versioned(object);
    this.counts.writes += 1;
    this.#stored = stored;
    this.#onEvent({ type, object: stored });
    return stored;
  }

  #versioned(object: KubeObject): KubeObject {
    this.#version += 1;
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
  }
}

function refusal(status: number, reason: string): ApiError {
  return new ApiError({ method: "PATCH", target: { resource: leases } }, { status, reason, detail: reason });
}
