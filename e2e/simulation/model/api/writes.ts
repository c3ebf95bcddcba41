import { badRequest, type Cause, conflict, invalid, Refusal, unknownFields } from "./answers.ts";
import { immutable, type Kind, notAllowed, type Part } from "./kind.ts";
import { type Fields, fieldsOf, isFields, isSame, type Metadata, readMetadata, type StoredObject } from "./object.ts";

/** Reads what a write brings: an object of the kind, for the place that the request names. */
export function readObject(
  kind: Kind,
  body: unknown,
  place: Readonly<{ namespace?: string | undefined }>,
): StoredObject {
  if (!isFields(body)) throw badRequest("the body is no object");
  const { resource } = kind;
  const apiVersion = resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
  const said = { apiVersion: body.apiVersion ?? apiVersion, kind: body.kind ?? resource.kind };
  if (said.apiVersion !== apiVersion || said.kind !== resource.kind) {
    throw badRequest(
      `${said.kind} in ${said.apiVersion} cannot be handled as a ${resource.kind} in ${apiVersion}: the path says otherwise`,
    );
  }
  const metadata = readMetadata(body.metadata);
  if (metadata.namespace !== undefined && metadata.namespace !== place.namespace) {
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
  }
  const placed = place.namespace === undefined ? metadata : { ...metadata, namespace: place.namespace };
  const { apiVersion: _, kind: __, metadata: ___, ...rest } = body;
  return kind.decoded({ apiVersion, kind: resource.kind, metadata: placed, ...rest });
}

/** Refuses what a strict patch has made of an object where the definition lacks a field of it. */
export function refuseUnknown(kind: Kind, patched: unknown): void {
  const unknown = kind.unknown(fieldsOf(patched));
  if (unknown.length > 0) throw unknownFields(patched, unknown);
}

/** The object as it is stored first, or the refusal. */
export function madeObject(
  kind: Kind,
  given: StoredObject,
  fresh: Readonly<{ uid: string; creationTimestamp: string }>,
): StoredObject {
  const { deletionTimestamp: _, deletionGracePeriodSeconds: __, generation: ___, ...kept } = given.metadata;
  const metadata = ordered({
    ...kept,
    resourceVersion: "",
    ...fresh,
    ...(kind.countsGenerations ? { generation: 1 } : {}),
  });
  const object = kind.made({ ...given, metadata });
  refuseIfBroken(kind, object, [...metadataProblems(kind, metadata), ...kind.problems(object, undefined, "whole")]);
  if (kept.resourceVersion !== "") {
    throw new Refusal(500, { reason: "", message: "resourceVersion should not be set on objects to be created" });
  }
  return object;
}

/** The object as a write leaves it, or the refusal. The answer is `before` itself where nothing changes. */
export function changedObject(kind: Kind, before: StoredObject, given: StoredObject, part: Part): StoredObject {
  const { resource } = kind;
  const { name, resourceVersion } = before.metadata;
  const version = given.metadata.resourceVersion;
  const isBlind = version === "" && kind.takesBlindUpdates;
  if (version === "" && !isBlind) {
    throw invalid(resource, name, [notAllowed("metadata.resourceVersion", 0, "must be specified for an update")]);
  }
  if (!isBlind && version !== resourceVersion) {
    const why = "the object has been modified; please apply your changes to the latest version and try again";
    throw conflict(resource, name, why);
  }
  const taken = part === "status" ? statusTaken(kind, before, given) : wholeTaken(kind, before, given);
  const metadata = metadataAfter(before.metadata, taken.metadata);
  const generation = generationAfter(kind, before, taken);
  const object = { ...taken, metadata: ordered(generation === undefined ? metadata : { ...metadata, generation }) };
  refuseIfBroken(kind, object, [
    ...changeProblems(before.metadata, object.metadata),
    ...metadataProblems(kind, object.metadata),
    ...kind.problems(object, before, part),
  ]);
  return isSame(object, before) ? before : object;
}

/** Whether the write takes the last hold off an object that is only waiting for that. */
export function isReleased(before: StoredObject, after: StoredObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = before.metadata;
  const isHeld = (after.metadata.finalizers ?? []).length > 0 || hasNamespaceHold(after);
  return deletionTimestamp !== undefined && deletionGracePeriodSeconds === 0 && !isHeld;
}

/** Whether the object is a namespace whose content is not removed yet. */
export function hasNamespaceHold(object: StoredObject): boolean {
  const { finalizers } = fieldsOf(object.spec);
  return object.kind === "Namespace" && Array.isArray(finalizers) && finalizers.length > 0;
}

/** The metadata with its fields in one order, so that equal objects have equal texts. */
export function ordered(metadata: Metadata): Metadata {
  return readMetadata(metadata);
}

function refuseIfBroken(kind: Kind, object: StoredObject, causes: readonly Cause[]): void {
  if (causes.length > 0) throw invalid(kind.resource, object.metadata.name, causes);
}

/** Of a write to the status only the status counts; compiled kinds take labels and finalizers there, too. */
function statusTaken(kind: Kind, before: StoredObject, given: StoredObject): StoredObject {
  if (kind.isCustom) {
    const { status: _, ...rest } = before;
    return given.status === undefined ? { ...rest } : { ...rest, status: given.status };
  }
  const { ownerReferences: _, ...metadata } = given.metadata;
  const { ownerReferences } = before.metadata;
  const owned = ownerReferences === undefined ? metadata : { ...metadata, ownerReferences };
  const { spec: __, ...rest } = given;
  const taken = { ...rest, metadata: owned };
  return before.spec === undefined ? taken : { ...taken, spec: before.spec };
}

function wholeTaken(kind: Kind, before: StoredObject, given: StoredObject): StoredObject {
  if (!kind.hasStatus) return given;
  const { status: _, ...rest } = given;
  return before.status === undefined ? { ...rest } : { ...rest, status: before.status };
}

function generationAfter(kind: Kind, before: StoredObject, after: StoredObject): number | undefined {
  const { generation } = before.metadata;
  if (generation === undefined || !kind.countsGenerations) return generation;
  const judged = ({ metadata: _, status: __, ...rest }: StoredObject): Fields => rest;
  return isSame(judged(before), judged(after)) ? generation : generation + 1;
}

/** What no write can change is put back; what none may try to change is left for the rules. */
function metadataAfter(before: Metadata, given: Metadata): Metadata {
  const { creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, resourceVersion } = before;
  const { deletionTimestamp: _, generation: __, ...rest } = given;
  return {
    ...rest,
    resourceVersion,
    uid: given.uid === "" ? before.uid : given.uid,
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }),
  };
}

function changeProblems(before: Metadata, after: Metadata): readonly Cause[] {
  const added = (after.finalizers ?? []).filter((each) => !before.finalizers?.includes(each));
  const words = "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers";
  return [
    ...(before.deletionTimestamp === undefined || added.length === 0
      ? []
      : [
          {
            reason: "FieldValueForbidden",
            field: "metadata.finalizers",
            message: `${words} []string{${added.map((each) => JSON.stringify(each)).join(", ")}}`,
          },
        ]),
    ...immutable("metadata.name", after.name, before.name),
    ...immutable("metadata.uid", after.uid, before.uid),
  ];
}

function metadataProblems({ resource }: Kind, metadata: Metadata): readonly Cause[] {
  const { name, labels = {}, finalizers = [] } = metadata;
  const pattern = resource.plural === "services" ? serviceName : subdomain;
  const isNamed = name !== "" && name.length <= 253 && pattern.test(name);
  const badLabels = Object.values(labels).filter((value) => value.length > 63 || !labelValue.test(value));
  return [
    ...(isNamed ? [] : [notAllowed("metadata.name", name, "must be a lowercase RFC 1123 subdomain")]),
    ...badLabels.map((value) => notAllowed("metadata.labels", value, "must be a label of at most 63 characters")),
    ...finalizers
      .filter((each) => !qualifiedName.test(each))
      .map((each) => notAllowed("metadata.finalizers", each, "must be a qualified name")),
  ];
}

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const serviceName = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;
const qualifiedName = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
