import { expect, test } from "vitest";
import { StallRecord } from "./stall-record.ts";

test("before the first save there is nothing to say", () => {
  expect(new StallRecord().summary).toEqual({
    totalSeconds: 0,
    meanSeconds: null,
    p50Seconds: null,
    p99Seconds: null,
  });
});

test("the quantiles are stalls that there were", () => {
  const record = new StallRecord();
  for (let milliseconds = 200; milliseconds >= 1; milliseconds -= 1) record.add(milliseconds / 1000);
  expect(record.summary).toEqual({
    totalSeconds: expect.closeTo(20.1, 9),
    meanSeconds: expect.closeTo(0.1005, 9),
    p50Seconds: 0.1,
    p99Seconds: 0.198,
  });
});

test("old saves are forgotten in all but the sum", () => {
  const record = new StallRecord();
  for (let save = 0; save < 50; save += 1) record.add(10);
  for (let save = 0; save < 256; save += 1) record.add(1);
  expect(record.summary).toEqual({ totalSeconds: 756, meanSeconds: 1, p50Seconds: 1, p99Seconds: 1 });
});
