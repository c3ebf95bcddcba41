import { describe, expect, it } from "vitest";
import { firstServiceAddress, freeNetworkNumber, nodeAddresses, planNetwork } from "./network-plan.ts";

describe("the number of a cluster's network", () => {
  it.each([
    { sentence: "is the first one on a machine with a default route only", destinations: ["default"], number: 201 },
    { sentence: "is not that of another cluster", destinations: ["10.201.0.0/24", "10.202.64.0/24"], number: 203 },
    { sentence: "is not that of a single address in use", destinations: ["10.201.7.7"], number: 202 },
    { sentence: "may lie in a wide route, such as a VPN's", destinations: ["10.0.0.0/8"], number: 201 },
    { sentence: "avoids a route of exactly its size", destinations: ["10.201.0.0/16"], number: 202 },
    {
      sentence: "is not troubled by other families and words",
      destinations: ["fe80::/64", "", "blackhole"],
      number: 201,
    },
  ])("$sentence", ({ destinations, number }) => {
    expect(freeNetworkNumber(destinations)).toBe(number);
  });

  it("is refused when all are taken", () => {
    const all = Array.from({ length: 54 }, (_, index) => `10.${201 + index}.0.0/16`);
    expect(() => freeNetworkNumber(all)).toThrow("Cannot find a free network");
  });
});

describe("the plan of a network", () => {
  const plan = planNetwork(201);

  it("keeps machine, nodes, pods and services apart", () => {
    expect(plan).toEqual({
      number: 201,
      range: "10.201.0.0/16",
      hostAddress: "10.201.0.1",
      nodeRange: "10.201.0.0/24",
      podRange: "10.201.64.0/18",
      serviceRange: "10.201.128.0/20",
    });
  });

  it("gives every node an address and a range of pods within the plan", () => {
    expect(nodeAddresses(plan, 31)).toEqual({
      address: "10.201.0.42",
      podRange: "10.201.95.0/24",
      podGateway: "10.201.95.1",
    });
  });

  it("refuses a node for which it has no room", () => {
    expect(() => nodeAddresses(plan, 32)).toThrow("Cannot place node 32");
  });

  it("knows the address of the service `kubernetes`", () => {
    expect(firstServiceAddress("10.201.128.0/20")).toBe("10.201.128.1");
    expect(() => firstServiceAddress("fd00::/64")).toThrow("Cannot read fd00::/64");
  });
});
