/** A Debian package that some part of the project needs. */
export interface DebianPackage {
  readonly name: string;
  /** Files that show that it, or something that does the same, is here. */
  readonly files: readonly string[];
  readonly part: Part;
}

/** What cannot be done without a package. */
export type Part = keyof typeof parts;

/** The parts, as they are named to the user. */
export const parts = {
  cluster: "every local cluster",
  containers: "container nodes (process nodes take their place)",
  images: "images built without Docker",
  metrics: "the demo's scrape by a real Prometheus",
  faults: "tests that kill a save at every system call",
  native: "TensorFlow's native backend (WebAssembly takes its place)",
} as const;

const search = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

/** Everything that the project takes from Debian, beyond node, npm, go, make and git. */
export const debianPackages: readonly DebianPackage[] = [
  { name: "openssl", files: programs("openssl"), part: "cluster" },
  { name: "util-linux", files: programs("nsenter"), part: "containers" },
  { name: "mount", files: programs("mount"), part: "containers" },
  { name: "containerd", files: programs("containerd"), part: "containers" },
  { name: "runc", files: programs("runc"), part: "containers" },
  {
    name: "containernetworking-plugins",
    files: ["/usr/lib/cni/bridge"],
    part: "containers",
  },
  { name: "iptables", files: programs("iptables"), part: "containers" },
  { name: "iproute2", files: programs("ip"), part: "containers" },
  { name: "conntrack", files: programs("conntrack"), part: "containers" },
  { name: "ethtool", files: programs("ethtool"), part: "containers" },
  { name: "socat", files: programs("socat"), part: "containers" },
  { name: "buildah", files: programs("buildah"), part: "images" },
  { name: "mmdebstrap", files: programs("mmdebstrap"), part: "images" },
  { name: "busybox-static", files: ["/var/lib/dpkg/info/busybox-static.list"], part: "images" },
  { name: "binutils", files: programs("strip"), part: "images" },
  { name: "prometheus", files: programs("prometheus"), part: "metrics" },
  { name: "strace", files: programs("strace"), part: "faults" },
  { name: "g++", files: programs("g++"), part: "native" },
  { name: "python3-pip", files: programs("pip3"), part: "native" },
];

/** The packages of which no file is there. */
export function missingPackages(exists: (path: string) => boolean): DebianPackage[] {
  return debianPackages.filter(({ files }) => !files.some(exists));
}

/** The names of the missing packages that some parts cannot do without. */
export function missingFor(needed: readonly Part[], exists: (path: string) => boolean): string[] {
  const missing = missingPackages(exists).filter(({ name, part }) => needed.includes(part) && !isOptional.has(name));
  return missing.map(({ name }) => name);
}

/** Without it images are larger, no more. */
const isOptional = new Set(["binutils"]);

/** What cannot be done without these packages, one line for each part. */
export function lostParts(missing: readonly DebianPackage[]): string[] {
  const lost = Map.groupBy(missing, ({ part }) => part);
  return [...lost].map(([part, packages]) => `${parts[part]}: needs ${packages.map(({ name }) => name).join(", ")}`);
}

function programs(name: string): string[] {
  return search.map((directory) => `${directory}/${name}`);
}
