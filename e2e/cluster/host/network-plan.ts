/** The addresses of one local cluster. Everything is in one private /16 that nothing else on the machine uses. */
export interface NetworkPlan {
  /** The second byte of all its addresses. */
  readonly number: number;
  readonly range: string;
  /** Where the machine itself is, and with it the API server. */
  readonly hostAddress: string;
  readonly nodeRange: string;
  readonly podRange: string;
  readonly serviceRange: string;
}

/** The addresses of the `index`th node. */
export interface NodeAddresses {
  readonly address: string;
  readonly podRange: string;
  readonly podGateway: string;
}

/** At most this many nodes fit in the plan. */
export const maxNodes = 32;

const firstNodeByte = 11;
const firstPodByte = 64;

/** The plan of the cluster with that number. */
export function planNetwork(number: number): NetworkPlan {
  return {
    number,
    range: `10.${number}.0.0/16`,
    hostAddress: `10.${number}.0.1`,
    nodeRange: `10.${number}.0.0/24`,
    podRange: `10.${number}.${firstPodByte}.0/18`,
    serviceRange: `10.${number}.128.0/20`,
  };
}

/** The addresses of the `index`th node of a plan, counted from 0. */
export function nodeAddresses(plan: NetworkPlan, index: number): NodeAddresses {
  if (index < 0 || index >= maxNodes) throw new Error(`Cannot place node ${index}: a cluster has ${maxNodes} at most`);
  const pods = `10.${plan.number}.${firstPodByte + index}`;
  return { address: `10.${plan.number}.0.${firstNodeByte + index}`, podRange: `${pods}.0/24`, podGateway: `${pods}.1` };
}

/** The first address of a range: Kubernetes gives it to the service `kubernetes`. */
export function firstServiceAddress(range: string): string {
  const [base = ""] = range.split("/");
  const bytes = base.split(".");
  if (bytes.length !== 4) throw new Error(`Cannot read ${range} as a range of IPv4 addresses`);
  return [...bytes.slice(0, 3), String(Number(bytes[3]) + 1)].join(".");
}

/**
 * The first number whose /16 overlaps none of the destinations that the machine already has routes for.
 *
 * @param destinations as `ip -4 route show table all` prints them: `10.9.0.0/16`, `10.9.0.1`, `default`.
 */
export function freeNetworkNumber(destinations: readonly string[]): number {
  const taken = destinations.map(parseRange).filter((range) => range !== undefined);
  for (let number = 201; number < 255; number += 1) {
    const start = (10 * 256 + number) * 2 ** 16;
    const end = start + 2 ** 16;
    if (taken.every((range) => range.end <= start || range.start >= end)) return number;
  }
  throw new Error("Cannot find a free network: this machine has routes into all of 10.201.0.0 to 10.254.255.255");
}

function parseRange(text: string): { start: number; end: number } | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)(?:\/(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const [a = 0, b = 0, c = 0, d = 0, bits = 32] = match
    .slice(1)
    .filter((part) => part !== undefined)
    .map(Number);
  const size = 2 ** (32 - bits);
  const address = ((a * 256 + b) * 256 + c) * 256 + d;
  const start = Math.floor(address / size) * size;
  // A range that holds the whole private network, such as a route of a VPN for 10.0.0.0/8, is refined by ours.
  return bits < 16 ? undefined : { start, end: start + size };
}
