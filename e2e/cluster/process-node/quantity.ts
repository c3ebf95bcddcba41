const suffixes: Readonly<Record<string, number>> = {
  "": 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/**
 * The number that a Kubernetes quantity ("500m", "2Gi", "1e3") stands for.
 *
 * @throws {RangeError} when it is not a quantity.
 */
export function parseQuantity(text: string): number {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([numkMGTPE]|[KMGTPE]i)?$/.exec(text);
  const factor = suffixes[match?.[2] ?? ""];
  if (match?.[1] === undefined || factor === undefined) {
    throw new RangeError(`Cannot read a quantity because it is not a number with a unit: ${text}`);
  }
  return Number(match[1]) * factor;
}
