import { factorOfSuffix } from "@trainingrun/operator/api/quantity.ts";

/** Resources that are not bytes, CPU above all, come in smaller units too. */
const factors: Readonly<Record<string, number>> = { ...factorOfSuffix, n: 1e-9, u: 1e-6 };

/**
 * The number that a Kubernetes quantity ("500m", "2Gi", "1e3") stands for.
 *
 * @throws {RangeError} when it is not a quantity.
 */
export function parseQuantity(text: string): number {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([numkMGTPE]|[KMGTPE]i)?$/.exec(text);
  const factor = factors[match?.[2] ?? ""];
  if (match?.[1] === undefined || factor === undefined) {
    throw new RangeError(`Cannot read a quantity because it is not a number with a unit: ${text}`);
  }
  return Number(match[1]) * factor;
}
