import { expect, test } from "vitest";
import { mirrorResult, type StoreSeen } from "./mirror.ts";
import { holds } from "./result.ts";

const transferred = (seconds: number, { memoryMiB = 100, mebibytes = 256 } = {}) => ({
  bytes: mebibytes * 2 ** 20,
  uploadSeconds: (seconds * mebibytes) / 256,
  downloadSeconds: (seconds * mebibytes) / 512,
  startBytes: 50 * 2 ** 20,
  peakBytes: (50 + memoryMiB) * 2 ** 20,
});
const five = (seconds: number) => Array.from({ length: 5 }, () => transferred(seconds));
const large = (memoryMiB: number) => transferred(1, { memoryMiB, mebibytes: 1024 });
const store = (change: Partial<StoreSeen> = {}): StoreSeen => ({
  tier: [...five(1.2), large(110)],
  plain: [...five(1), large(300)],
  ...change,
});

test("a mirror holds with both stores near the plain client's speed, in bounded memory", () => {
  const result = mirrorResult({ versitygw: store(), minio: store() });
  expect(holds(result)).toBe(true);
  expect(result.figures).toMatchObject({
    minio: {
      uploadRatio: 0.833,
      downloadRatio: 0.833,
      tierMemoryMiB: { "256 MiB": 100, "1024 MiB": 110 },
      tierMemoryGrowth: 1.1,
    },
  });
});

test.each([
  ["with one store alone", undefined],
  ["where the tier is slower", store({ tier: [...five(1.3), large(110)] })],
  ["where it needs more memory once", store({ tier: [...store().tier, transferred(1, { memoryMiB: 225 })] })],
  ["where memory grows with the checkpoint", store({ tier: [...five(1.2), large(140)] })],
  ["with fewer than five rounds", store({ plain: [transferred(1)] })],
])("it does not hold %s", (_, minio) => {
  expect(holds(mirrorResult({ versitygw: store(), ...(minio && { minio }) }))).toBe(false);
});
