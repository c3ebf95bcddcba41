import { expect, test } from "vitest";
import { FlightTime } from "./flight-time.ts";

test.each<[string, number[], number]>([
  ["is asked every now and then", [5, 10, 15], 15],
  ["is asked twice at once", [5, 5], 5],
  ["is frozen for an hour", [5, 3605, 3610], 70],
  ["asks a clock that stands", [5, 4, 6], 6],
])("the time in flight of a save whose process %s", (_, askedAt, seconds) => {
  const time = new FlightTime(0);
  const answers = askedAt.map((at) => time.secondsAt(at * 1000));
  expect(answers.at(-1)).toBe(seconds);
});

type Look = readonly [second: number, writtenBytes: number];

test.each<[string, Look[], { moved: number; idle: number }]>([
  ["has written nothing yet", [[30, 0]], { moved: 0, idle: 30 }],
  [
    "writes on",
    [
      [30, 1],
      [60, 2],
    ],
    { moved: 60, idle: 0 },
  ],
  [
    "has written all and waits for it to be durable",
    [
      [30, 9],
      [60, 9],
      [90, 9],
    ],
    { moved: 30, idle: 60 },
  ],
  [
    "was frozen meanwhile",
    [
      [30, 9],
      [3600, 9],
    ],
    { moved: 30, idle: 60 },
  ],
])("the time in which nothing moves of a save that %s", (_, looks, { moved, idle }) => {
  let written = 0;
  const time = new FlightTime(0, () => written);
  const answers = looks.map(([second, bytes]) => {
    written = bytes;
    return time.idleSecondsAt(second * 1000);
  });
  expect([time.movedSeconds, answers.at(-1)]).toEqual([moved, idle]);
});
