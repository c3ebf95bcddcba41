import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { afterEach, expect, it, vi } from "vitest";
import { freePorts, isListening } from "./ports.ts";

const servers: Server[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  for (const server of servers.splice(0)) server.close();
});

it("gives different ports, none of which the kernel gives to outgoing connections", async () => {
  const ports = await freePorts(50, "127.0.0.1");
  expect(new Set(ports).size).toBe(50);
  expect(ports.every((port) => port >= 20_000 && port < 30_000)).toBe(true);
});

it("passes over a port that another program has", async () => {
  const [taken = 0] = await freePorts(1, "127.0.0.1");
  const server = createServer().listen(taken, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  // From the middle of what gives each port: at its edge a rounded quotient may give the one below.
  const draws = [taken, taken, taken === 20_000 ? 20_001 : 20_000].map((port) => (port - 20_000 + 0.5) / 10_000);
  const random = vi.spyOn(Math, "random");
  for (const draw of draws) random.mockReturnValueOnce(draw);
  const [port] = await freePorts(1, "127.0.0.1");
  expect(port).not.toBe(taken);
  expect(random).toHaveBeenCalledTimes(3);
  expect(await isListening(`http://127.0.0.1:${taken}`)).toBe(true);
});

it("says so when the address is none of this machine's", async () => {
  await expect(freePorts(1, "192.0.2.1")).rejects.toThrow("192.0.2.1");
});
