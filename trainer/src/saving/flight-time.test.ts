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
