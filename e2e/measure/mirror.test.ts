import { expect, test } from "vitest";
import { mirrorResult, type StoreSeen } from "./mirror.ts";
import { holds } from "./result.ts";

const transferred = (seconds: number, memoryMiB = 100) => ({
  uploadSeconds: seconds,
  downloadSeconds: seconds / 2,
  startBytes: 50 * 2 ** 20,
  peakBytes: (50 + memoryMiB) * 2 ** 20,
});
const store = (change: Partial<StoreSeen> = {}): StoreSeen => ({
  tier: Array.from({ length: 5 }, () => transferred(1.2)),
  plain: Array.from({ length: 5 }, () => transferred(1)),
  ...change,
});

test("a mirror holds with both stores near the plain client's speed, in bounded memory", () => {
  const result = mirrorResult({ versitygw: store(), minio: store() });
  expect(holds(result)).toBe(true);
  expect(result.figures).toMatchObject({ minio: { uploadRatio: 0.833, downloadRatio: 0.833, tierMemoryMiB: 100 } });
});

test.each([
  ["with one store alone", undefined],
  ["where the tier is slower", store({ tier: Array.from({ length: 5 }, () => transferred(1.3)) })],
  ["where it needs more memory once", store({ tier: [...store().tier, transferred(1, 161)] })],
  ["with fewer than five rounds", store({ plain: [transferred(1)] })],
])("it does not hold %s", (_, minio) => {
  expect(holds(mirrorResult({ versitygw: store(), ...(minio && { minio }) }))).toBe(false);
});
