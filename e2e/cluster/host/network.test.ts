import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { missingFor } from "../build/debian-packages.ts";
import { tryHold } from "../processes/lock.ts";
import { linkName, takeNetwork } from "./network.ts";

it.skipIf(missingFor(["containers"], existsSync).length > 0)(
  "gives no two that ask at once the same network",
  async () => {
    const plans = await Promise.all([takeNetwork(), takeNetwork(), takeNetwork()]);
    expect(new Set(plans.map(({ range }) => range)).size).toBe(3);
    expect(await Promise.all(plans.map(({ range }) => tryHold(`network ${range}`)))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  },
);

it("names the link after the directory, as long as Linux allows", () => {
  expect(linkName("/a/cluster")).toHaveLength(15);
  expect(linkName("/a/cluster")).not.toBe(linkName("/b/cluster"));
});
