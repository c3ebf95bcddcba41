/** A part of the template whose shape is the cluster's business, not ours. */
export type Json = Readonly<Record<string, unknown>>;

/** The fields of an object; none where it is something else. The API server judges such a template. */
export function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/** The items of a list; none where it is something else. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
