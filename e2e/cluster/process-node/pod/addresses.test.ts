import { expect, test } from "vitest";
import { AddressPool, requireListenable } from "./addresses.ts";

test("gives each pod an address of the node's own range, and each address once", () => {
  const pool = new AddressPool("127.0.3.1");
  const taken = Array.from({ length: 600 }, () => pool.take());
  expect(taken[0]).toBe("127.3.0.1");
  expect(taken[255]).toBe("127.3.1.0");
  expect(new Set(taken).size).toBe(600);
  expect(taken.every((address) => address.startsWith("127.3."))).toBe(true);
});

test("gives an address again only when all others have had their turn", () => {
  const pool = new AddressPool("127.0.3.1");
  const first = pool.take();
  pool.release(first);
  const following = Array.from({ length: 2 ** 16 - 3 }, () => pool.take());
  expect(following).not.toContain(first);
  expect(pool.take()).toBe(first);
});

test("says so when all are taken", () => {
  const pool = new AddressPool("127.0.3.1");
  for (let index = 1; index <= 2 ** 16 - 2; index += 1) pool.take();
  expect(() => pool.take()).toThrow("Cannot start a pod: all of 127.3.* is taken");
});

test.each(["10.0.0.1", "127.1.1.1", "127.0.0.1", "127.0.1", "::1"])("refuses the node address %s", (address) => {
  expect(() => new AddressPool(address)).toThrow(`must be 127.0.x.y with x in 1-255: ${address}`);
});

test("says so when the machine does not have an address", async () => {
  await requireListenable("127.0.0.1");
  await expect(requireListenable("192.0.2.1")).rejects.toThrow("this machine does not have that address");
});
