import type { KeyPair } from "../control-plane/certificates.ts";
import type { NodeCgroups } from "../host/cgroups.ts";
import type { NodeAddresses } from "../host/network-plan.ts";

/** Where a container node's own programs find each other. In the node's mount namespace these are the node's alone. */
export const containerdSocket = "/run/containerd/containerd.sock";

/** The image that holds a pod's namespaces. It is made here and imported, as all images are. */
export const pauseImage = "localhost/trainingrun/pause:dev";

/** containerd's configuration. */
export function containerdConfig(cniConfigDirectory: string): string {
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.tracing", "io.containerd.internal.v1.opt"]

[grpc]
  address = "${containerdSocket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # Root without CAP_SYS_RESOURCE may not lower a score; without this every pod dies at its start.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${cniConfigDirectory}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`;
}

/** The pods' network: a bridge of the node with its pod range. */
export function cniConfig({ podRange, podGateway }: NodeAddresses): object {
  return {
    cniVersion: "1.0.0",
    name: "pods",
    plugins: [
      {
        type: "bridge",
        bridge: "pods",
        isGateway: true,
        // A pod may reach itself through a service.
        hairpinMode: true,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: podRange, gateway: podGateway }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
    ],
  };
}

/** What the kubelet's configuration depends on. */
export interface KubeletSettings {
  readonly cgroups: NodeCgroups;
  readonly addresses: NodeAddresses;
  readonly caPath: string;
  readonly serving: KeyPair;
  readonly dnsAddress: string;
  readonly resolvConfPath: string;
}

/** The kubelet's configuration. */
export function kubeletConfig({ cgroups, addresses, caPath, serving, ...settings }: KubeletSettings): object {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: addresses.address,
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: caPath } },
    authorization: { mode: "Webhook" },
    tlsCertFile: serving.certificatePath,
    tlsPrivateKeyFile: serving.keyPath,
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    cgroupDriver: "cgroupfs",
    cgroupRoot: cgroups.pods,
    failCgroupV1: false,
    failSwapOn: false,
    clusterDomain: "cluster.local",
    clusterDNS: [settings.dnsAddress],
    resolvConf: settings.resolvConfPath,
    volumePluginDir: "/var/lib/kubelet/volume-plugins",
    // The node's silence is noticed within the control plane's grace period, so it must speak well within it.
    nodeLeaseDurationSeconds: 12,
    // The disk is the machine's, shared with all else on it: how full it is says nothing about this node.
    evictionHard: {
      "memory.available": "100Mi",
      "nodefs.available": "0%",
      "nodefs.inodesFree": "0%",
      "imagefs.available": "0%",
      "imagefs.inodesFree": "0%",
    },
    // Images cannot be pulled again, so they are never collected.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
  };
}

/** Kernel settings of the whole machine that a kubelet insists on, with the values that it wants. */
export const kubeletSysctls: Readonly<Record<string, number>> = {
  "vm/overcommit_memory": 1,
  "vm/panic_on_oom": 0,
  "kernel/panic": 10,
  "kernel/panic_on_oops": 1,
  "kernel/keys/root_maxkeys": 1_000_000,
  "kernel/keys/root_maxbytes": 25_000_000,
};
