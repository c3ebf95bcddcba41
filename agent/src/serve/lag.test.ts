import { expect, test } from "vitest";
import { Lag } from "./lag.ts";

type Look = readonly [now: number, latestStep: number | null, ahead: readonly number[], lag: number];

test.each<[string, readonly Look[]]>([
  [
    "none, while nothing is lacking",
    [
      [5, null, [], 0],
      [9, 10, [], 0],
    ],
  ],
  [
    "that of the oldest that is lacking",
    [
      [0, null, [10], 0],
      [7, null, [20, 10], 7],
    ],
  ],
  [
    "that of the next one, once the oldest is there",
    [
      [0, null, [10], 0],
      [7, null, [20, 10], 7],
      [9, 10, [20], 2],
    ],
  ],
  [
    "that of the second save of a step whose first is there",
    [
      [0, 10, [10], 0],
      [7, 10, [10], 7],
      [9, 10, [], 0],
    ],
  ],
  [
    "not less for one that retention has removed",
    [
      [0, null, [10], 0],
      [7, null, [30, 20], 7],
      [9, null, [30], 9],
    ],
  ],
  [
    "not that of a removed one, once a newer is there",
    [
      [0, null, [10], 0],
      [7, null, [20], 7],
      [8, 20, [30], 0],
    ],
  ],
  [
    "none again, once the newest is there",
    [
      [0, null, [10], 0],
      [7, 10, [], 0],
      [9, 10, [20], 0],
    ],
  ],
])("the lag is %s", (_what, looks) => {
  const lag = new Lag();
  const seen = looks.map(([now, latestStep, ahead]) => lag.at({ now, latestStep, ahead }));
  expect(seen).toEqual(looks.map(([, , , expected]) => expected));
});
