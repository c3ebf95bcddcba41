import { z } from "zod";

/** What each suffix of a quantity of bytes multiplies by. */
export const factorOfSuffix: Readonly<Record<string, number>> = {
  m: 1e-3,
  "": 1,
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

/** A Kubernetes quantity of bytes, such as `15Gi` or `500M`; a plain integer counts bytes. */
export const Quantity = z
  .union([
    z.int().min(1),
    z
      .string()
      .max(32)
      .regex(/^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/, "must be a quantity such as 15Gi"),
  ])
  .meta({ "x-kubernetes-int-or-string": true, description: "A Kubernetes quantity such as `15Gi`." });
export type Quantity = z.infer<typeof Quantity>;

/** Whole bytes of a quantity, rounded up as Kubernetes does. */
export function quantityBytes(quantity: Quantity): number {
  if (typeof quantity === "number") return quantity;
  const [, amount, suffix] = /^([0-9.]+)([a-zA-Z]*)$/.exec(quantity) ?? [];
  return Math.ceil(Number(amount) * (factorOfSuffix[suffix ?? ""] ?? Number.NaN));
}
