import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Chance } from "./chance.ts";

const draws = Array.from({ length: 4_000 }, (_, ordinal) => new Chance("seed").draw("stream", "key", ordinal));

describe("a keyed draw", () => {
  test("follows from seed, stream, key and ordinal alone", () => {
    const chance = new Chance(7);
    const first = chance.draw("uuid", "agent", 3);
    chance.draw("uuid", "agent", 2);
    chance.row("uuid", "agent").next();
    expect(chance.draw("uuid", "agent", 3)).toBe(first);
    expect(new Chance(7).draw("uuid", "agent", 3)).toBe(first);
  });

  const others: readonly [what: string, draw: number][] = [
    ["seed", new Chance("seed2").draw("stream", "key", 0)],
    ["stream", new Chance("seed").draw("stream2", "key", 0)],
    ["key", new Chance("seed").draw("stream", "key2", 0)],
    ["ordinal", new Chance("seed").draw("stream", "key", 1)],
    ["fraction of the ordinal", new Chance("seed").draw("stream", "key", 0.25)],
    ["place of a letter between stream and key", new Chance("seed").draw("streamk", "ey", 0)],
  ];
  test.each(others)("is another for another %s", (_, draw) => expect(draw).not.toBe(draws[0]));

  test("is spread evenly, and never the same twice in a row of 4,000", () => {
    const tenths = Array.from(
      { length: 10 },
      (_, tenth) => draws.filter((draw) => Math.floor(draw * 10) === tenth).length,
    );
    expect(Math.min(...tenths)).toBeGreaterThan(300);
    expect(Math.max(...tenths)).toBeLessThan(500);
    expect(new Set(draws).size).toBe(draws.length);
  });

  test("is never below 0 and never 1", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.double({ min: 0, max: 1e15, noNaN: true }), (seed, key, ordinal) => {
        const draw = new Chance(seed).draw("stream", key, ordinal);
        return draw >= 0 && draw < 1;
      }),
    );
  });
});

describe("a row of draws", () => {
  test("counts the ordinals of its key", () => {
    const row = new Chance("seed").row("stream", "key");
    expect([row.next(), row.next(), row.next()]).toEqual(draws.slice(0, 3));
  });

  test("gives whole numbers below a bound, all of them", () => {
    const row = new Chance(1).row("stream", "key");
    expect(new Set(Array.from({ length: 200 }, () => row.below(6)))).toEqual(new Set([0, 1, 2, 3, 4, 5]));
  });

  test("gives bytes of any length and UUIDs of version 4", () => {
    const row = new Chance(1).row("stream", "key");
    expect([0, 1, 4, 33].map((count) => row.bytes(count).length)).toEqual([0, 1, 4, 33]);
    const uuids = Array.from({ length: 100 }, () => row.uuid());
    for (const uuid of uuids)
      expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set(uuids).size).toBe(100);
  });
});
