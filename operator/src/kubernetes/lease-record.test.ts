import { describe, expect, it } from "vitest";
import { isReleased, microTime, nextTransitions, readLease, UnreadableLeaseError } from "./lease-record.ts";

const metadata = { name: "operator", namespace: "ns", uid: "u1", resourceVersion: "5" };

describe("a Lease", () => {
  it("is read as any client writes it", () => {
    const spec = {
      holderIdentity: "a",
      leaseDurationSeconds: 15,
      acquireTime: "2026-01-01T00:00:00.000000Z",
      renewTime: "2026-01-01T00:00:02.123456Z",
      leaseTransitions: 7,
    };
    expect(readLease({ metadata, spec })).toEqual({
      uid: "u1",
      resourceVersion: "5",
      holder: "a",
      durationSeconds: 15,
      renewTime: "2026-01-01T00:00:02.123456Z",
      transitions: 7,
    });
  });

  it.each([[undefined], [null], [{}], [{ holderIdentity: null, leaseDurationSeconds: null }]])(
    "is nobody's where its spec says nothing: %o",
    (spec) => {
      const read = readLease({ metadata, spec });
      expect(read).toMatchObject({ holder: "", durationSeconds: 0, renewTime: "", transitions: 0 });
      expect(isReleased(read)).toBe(false);
    },
  );

  it.each([[{}], [{ metadata: {} }], [{ metadata: { ...metadata, resourceVersion: "latest" } }]])(
    "is not read from %o",
    (answer) => {
      const other = JSON.parse(JSON.stringify(answer));
      expect(() => readLease(other)).toThrow(UnreadableLeaseError);
    },
  );

  it("is given up with its name cleared and its duration set to a second", () => {
    const released = readLease({ metadata, spec: { holderIdentity: "", leaseDurationSeconds: 1 } });
    expect(isReleased(released)).toBe(true);
    expect(isReleased({ ...released, holder: "a" })).toBe(false);
    expect(isReleased({ ...released, durationSeconds: 15 })).toBe(false);
  });

  it("carries instants of six digits", () => {
    const wallMs = Date.UTC(2026, 0, 2, 3, 4, 5, 67);
    expect(microTime(wallMs, 0)).toBe("2026-01-02T03:04:05.067000Z");
    expect(microTime(wallMs, 1_042)).toBe("2026-01-02T03:04:05.067042Z");
  });

  it("counts its holders within 32 bits", () => {
    expect([nextTransitions(0), nextTransitions(2 ** 31 - 2), nextTransitions(2 ** 31 - 1)]).toEqual([
      1,
      2 ** 31 - 1,
      0,
    ]);
  });
});
