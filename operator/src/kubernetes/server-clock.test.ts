import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { ServerClock } from "./server-clock.ts";

const hour = 3_600_000;
const noon = Date.parse("2026-01-01T12:00:00.400Z");

describe("the API server's clock", () => {
  /** What the server has, and how far this machine's clock is off. Monotonic time began at an instant of its own. */
  let server: number;
  let off: number;
  let clock: ServerClock;
  const monotonic = () => server - noon + 12_345.678;

  beforeEach(() => {
    server = noon;
    off = 0;
    clock = new ServerClock({ wall: () => server + off, monotonic });
  });

  /** An answer that took some milliseconds to come; its date is of when it was sent, by a clock that differs perhaps. */
  function answer({ requestMs = 2, answerMs = 2, by = 0 } = {}): void {
    const sentAt = monotonic();
    server += requestMs;
    const date = new Date(Math.floor((server + by) / 1000) * 1000).toUTCString();
    server += answerMs;
    clock.hear(date, sentAt);
  }
  const error = () => clock.now() - server;
  const answers = (count: number, pauseMs = 137) => {
    for (let each = 0; each < count; each += 1) {
      answer();
      server += pauseMs;
    }
  };

  it("is this machine's until the server has said anything", () => {
    off = hour;
    expect(error()).toBe(hour);
    clock.hear(undefined, monotonic());
    clock.hear("yesterday", monotonic());
    clock.hear(["Thu, 01 Jan 2026 12:00:00 GMT"], monotonic());
    expect(error()).toBe(hour);
  });

  it("is this machine's to the millisecond, where that is right", () => {
    answers(50);
    expect(error()).toBe(0);
    off = 1;
    expect(error()).toBe(1);
  });

  it.each([-hour, hour])("is the server's within a second after one answer, and closer after many: %i ms off", (by) => {
    off = by;
    answer();
    expect(Math.abs(error())).toBeLessThanOrEqual(1_010);
    answers(30);
    expect(Math.abs(error())).toBeLessThan(150);
  });

  it("stays right while nothing is heard, whatever is done to this machine's clock", () => {
    answers(30);
    off = -hour;
    server += 10 * 60_000;
    expect(Math.abs(error())).toBeLessThan(1_000);
  });

  it("is not misled by one answer of another's, such as a proxy's", () => {
    answers(10);
    answer({ by: hour });
    expect(error()).toBe(0);
    answers(1);
    answer({ by: hour });
    answer({ by: -hour });
    answer({ by: hour });
    expect(error()).toBe(0);
  });

  it("follows a server whose clock is set, or a machine that slept, once three answers agree", () => {
    answers(10);
    answer({ by: hour });
    answer({ by: hour });
    expect(error()).toBe(0);
    answer({ by: hour });
    expect(Math.abs(error() - hour)).toBeLessThan(1_010);
  });

  it("is never further off than the answers leave open, however they come", () => {
    const trips = fc.array(fc.record({ requestMs: fc.nat({ max: 4_000 }), answerMs: fc.nat({ max: 4_000 }) }), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(trips, fc.integer({ min: -2 * hour, max: 2 * hour }), (each, skew) => {
        server = noon;
        off = skew;
        clock = new ServerClock({ wall: () => server + off, monotonic });
        let widest = Number.POSITIVE_INFINITY;
        for (const trip of each) {
          answer(trip);
          widest = Math.min(widest, trip.requestMs + trip.answerMs + 1_000);
          expect(Math.abs(error())).toBeLessThanOrEqual(widest + 50);
        }
      }),
      { numRuns: 100 },
    );
  });
});
