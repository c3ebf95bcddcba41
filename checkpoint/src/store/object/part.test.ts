import { expect, test } from "vitest";
import { LentBuffers } from "../../buffer-pool.ts";
import { Part } from "./part.ts";

const mebibyte = 1024 * 1024;
const bytesIn = (part: Part) => part.pieces.flatMap((piece) => [...piece]);

test("a part is sent from where its pieces are, and nobody else gets that memory until it is released", async () => {
  await using buffers = new LentBuffers(1);
  const memory = await buffers.next();
  memory.set([1, 2, 3, 4]);
  const part = new Part(3, []);
  expect(part.take(memory.subarray(0, 4))).toBe(3);
  expect(part.isFull).toBe(true);
  expect(part.pieces.map(({ buffer }) => buffer)).toEqual([memory.buffer]);
  const order: string[] = [];
  const next = buffers.next().then(() => order.push("lent again"));
  await Promise.resolve();
  order.push("released");
  part.release();
  await next;
  expect(order).toEqual(["released", "lent again"]);
});

test("a part copies what its owner does not keep, and everything after that", async () => {
  await using buffers = new LentBuffers(1);
  const [held, own] = [await buffers.next(), Uint8Array.of(3, 4)];
  held.set([1, 2, 5, 6]);
  const free: Uint8Array[] = [];
  const part = new Part(6, free);
  for (const piece of [held.subarray(0, 2), own, held.subarray(2, 4)]) part.take(piece);
  own.fill(0);
  held.fill(0, 2);
  expect(bytesIn(part)).toEqual([1, 2, 3, 4, 5, 6]);
  part.release();
  expect(free).toHaveLength(1);
  expect(part.filled).toBe(0);
});

test("a part that many pieces fill holds none of them: they could be all the memory that there is", async () => {
  await using buffers = new LentBuffers(1);
  const part = new Part(16 * mebibyte + 1, []);
  for (let filled = 0; filled < 3; filled += 1) part.take((await buffers.next()).subarray(0, 5 * mebibyte));
  expect(part.filled).toBe(15 * mebibyte);
});
