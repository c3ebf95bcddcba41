/**
 * Replaces `$(NAME)` by the variable's value, as Kubernetes does in commands, arguments and variables: an unknown name
 * stays as it is, and `$$(NAME)` stands for the text `$(NAME)`.
 */
export function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^()$]*)\)/g, (match, name: string | undefined) => {
    if (name === undefined) return "$";
    return variables.get(name) ?? match;
  });
}
