/** A reason of an answer's Status object, as far as it is read here. */
export type StatusCause = Readonly<{ field?: string; message?: string }>;

/**
 * The fields for which a strict patch was refused because the definition of its resource lacks them, such as
 * `status.attempts[0].queue.group`; none where it was refused for something else. The server writes them behind the whole
 * object as it would have become, texts of users included, so only what stands after that object's end is read.
 */
export function unknownFieldsOf(causes: readonly StatusCause[]): readonly string[] {
  const words = causes.find(({ field }) => field === "patch")?.message ?? "";
  const end = words.lastIndexOf(`": ${strictWords}`);
  if (end === -1) return [];
  return [...words.slice(end).matchAll(/unknown field "([^"]+)"/g)].flatMap(([, path]) => path ?? []);
}

/** Those fields, in the server's own words without the object. */
export function unknownFieldWords(fields: readonly string[]): string {
  return `${strictWords}${fields.map((field) => `unknown field "${field}"`).join(", ")}`;
}

const strictWords = "strict decoding error: ";
