/** A tensor as far as its structure goes. */
export type TensorShape = { readonly dtype: string; readonly shape: readonly number[] };

/** A tensor whose type or shape is another one in the checkpoint. */
export type ReshapedTensor = { readonly name: string; readonly before: TensorShape; readonly now: TensorShape };

/** How the tensors of a checkpoint and those of a script differ in structure, each list in the order of its side. */
export type TensorDifferences = {
  /** In the script alone. */
  readonly missing: readonly (TensorShape & { readonly name: string })[];
  /** In the checkpoint alone. */
  readonly unexpected: readonly (TensorShape & { readonly name: string })[];
  readonly reshaped: readonly ReshapedTensor[];
};

/** Compares structures by name, type and shape; values are not looked at. */
export function compareTensors(
  script: ReadonlyMap<string, TensorShape>,
  checkpoint: ReadonlyMap<string, TensorShape>,
): TensorDifferences {
  const missing: (TensorShape & { name: string })[] = [];
  const reshaped: ReshapedTensor[] = [];
  for (const [name, now] of script) {
    const before = checkpoint.get(name);
    if (before === undefined) missing.push({ name, ...now });
    else if (describeTensor(before) !== describeTensor(now)) reshaped.push({ name, before, now });
  }
  const unexpected = [...checkpoint]
    .filter(([name]) => !script.has(name))
    .map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  return { missing, unexpected, reshaped };
}

/** How many tensors differ. */
export function countDifferences({ missing, unexpected, reshaped }: TensorDifferences): number {
  return missing.length + unexpected.length + reshaped.length;
}

/** A row-major tensor's type and shape, as a refusal shows it. */
export function describeTensor(tensor: TensorShape): string {
  return `${tensor.dtype}[${tensor.shape.join(",")}]`;
}

/** Named in a message of at most 700 characters, so only the first few of each kind and the beginning of a long name. */
const maxNamed = 3;
const maxNameLength = 60;

/** All differences in one sentence: counts in full, names as far as they fit. */
export function describeTensorDifferences({ missing, unexpected, reshaped }: TensorDifferences): string {
  const own = (tensor: TensorShape & { name: string }) => `${nameOf(tensor)} ${describeTensor(tensor)}`;
  const changed = (tensor: ReshapedTensor) =>
    `${nameOf(tensor)} ${describeTensor(tensor.before)} in the checkpoint, ${describeTensor(tensor.now)} in the script`;
  return [
    listed("missing in the checkpoint", missing.map(own)),
    listed("not in the script", unexpected.map(own)),
    listed("of another shape", reshaped.map(changed)),
  ]
    .filter((part) => part !== "")
    .join("; ");
}

function listed(what: string, tensors: readonly string[]): string {
  if (tensors.length === 0) return "";
  const more = tensors.length - maxNamed;
  const names = [...tensors.slice(0, maxNamed), ...(more > 0 ? [`and ${more} more`] : [])];
  return `${tensors.length} ${what} (${names.join(", ")})`;
}

function nameOf({ name }: { readonly name: string }): string {
  return name.length <= maxNameLength ? name : `${name.slice(0, maxNameLength - 1)}…`.toWellFormed();
}
