/** The value of a header in a list of names and values in turn; undefined when it is not there. */
export function findHeader(headers: readonly string[], name: string): string | undefined {
  const index = headers.findIndex((text, at) => at % 2 === 0 && text.toLowerCase() === name);
  return index < 0 ? undefined : headers[index + 1];
}

/** The list without these headers. */
export function withoutHeaders(headers: readonly string[], names: readonly string[]): string[] {
  return headers.filter((_, index) => !names.includes((headers[index - (index % 2)] ?? "").toLowerCase()));
}

/** What one connection says about itself and must not be passed on to another. */
export const ownHeaders = ["connection", "keep-alive", "proxy-connection"];
