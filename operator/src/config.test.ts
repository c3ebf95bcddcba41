import { describe, expect, it } from "vitest";
import { type Config, ConfigError, readConfig, readReleaseConfig } from "./config.ts";

const least = { KUBERNETES_SERVICE_HOST: "10.0.0.1", AGENT_IMAGE: "agent:1" };

describe("the configuration", () => {
  it("needs only an agent image inside a cluster", () => {
    const { instance, ...rest } = readConfig(least, []);
    expect(instance).not.toBe("");
    expect(rest).toEqual({
      credentials: {
        kind: "ServiceAccount",
        directory: "/var/run/secrets/kubernetes.io/serviceaccount",
        server: "https://10.0.0.1:443",
      },
      watchNamespaces: [],
      watchNodes: true,
      pods: { agentImage: "agent:1", agentImagePullPolicy: "IfNotPresent", agentResources: {} },
      listen: { address: "0.0.0.0", port: 8080 },
      workers: 4,
      api: { requestsPerSecond: 50, burst: 100, inFlight: 32 },
      probeIntervalSeconds: 2,
      lease: null,
    });
  });

  it("takes a flag before its variable, and the kubeconfig before the service account", () => {
    const config = readConfig({ ...least, PORT: "1" }, ["--port=2", "--kubeconfig", "/k", "--context=dev"]);
    expect(config.listen.port).toBe(2);
    expect(config.credentials).toEqual({ kind: "Kubeconfig", path: "/k", context: "dev" });
  });

  it("brackets the address of an IPv6 API server", () => {
    const config = readConfig({ ...least, KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" }, []);
    expect(config.credentials).toMatchObject({ server: "https://[fd00::1]:6443" });
  });

  it("reads namespaces apart, once each", () => {
    expect(readConfig({ ...least, WATCH_NAMESPACES: " a, b,a ,," }, []).watchNamespaces).toEqual(["a", "b"]);
  });

  const name = "trainingrun-operator";
  const leases: readonly [when: string, environment: Record<string, string>, lease: Config["lease"]][] = [
    ["in its pod's namespace", { POD_NAMESPACE: "ops" }, { namespace: "ops", name }],
    [
      "where it is told to",
      { POD_NAMESPACE: "ops", LEASE_NAMESPACE: "a", LEASE_NAME: "b" },
      { namespace: "a", name: "b" },
    ],
    ["not at all where it is told so", { POD_NAMESPACE: "ops", LEADER_ELECTION: "false" }, null],
    ["not at all where it has no namespace of its own", { LEASE_NAME: "b" }, null],
  ];
  it.each(leases)("elects a leader %s", (_, environment, lease) => {
    expect(readConfig({ ...least, ...environment }, []).lease).toEqual(lease);
  });

  it("treats an empty variable as unset", () => {
    expect(readConfig({ ...least, PORT: "", KUBECONFIG: "" }, []).listen.port).toBe(8080);
  });

  const refusals: readonly [environment: Record<string, string>, args: string[], words: string][] = [
    [{ KUBERNETES_SERVICE_HOST: "h" }, [], "AGENT_IMAGE must name the image of the agent"],
    [{ AGENT_IMAGE: "a" }, [], "KUBECONFIG must be set outside a cluster"],
    [{ ...least, PORT: "http" }, [], "PORT must be a whole number from 0 to 65535"],
    [{ ...least, PORT: "65536" }, [], "PORT must be a whole number from 0 to 65535"],
    [{ ...least, WORKERS: "0" }, [], "WORKERS must be a whole number from 1 to 64"],
    [{ ...least, WATCH_NAMESPACES: "a,B!" }, [], "WATCH_NAMESPACES must be names of namespaces"],
    [{ ...least, WATCH_NODES: "yes" }, [], "WATCH_NODES must be true or false"],
    [{ ...least, LEADER_ELECTION: "true" }, [], "LEASE_NAMESPACE must be set for a leader election"],
    [{ ...least, LEASE_NAMESPACE: "a/b" }, [], "LEASE_NAMESPACE must be the name of a namespace"],
    [{ ...least, AGENT_RESOURCES: "[1]" }, [], "AGENT_RESOURCES must be a JSON object: [1]"],
    [{ ...least, AGENT_RESOURCES: "{" }, [], "AGENT_RESOURCES must be a JSON object: {"],
    [least, ["--prot=1"], "Known flags: --kubeconfig"],
    [least, ["run"], "the command line is not usable"],
  ];
  it.each(refusals)("refuses %j %j", (environment, args, words) => {
    const refused = expect(() => readConfig(environment, args));
    refused.toThrow(ConfigError);
    expect(() => readConfig(environment, args)).toThrow(words);
  });
});

describe("the configuration of release", () => {
  const place = {
    KUBERNETES_SERVICE_HOST: "10.0.0.1",
    OPERATOR_NAMESPACE: "trainingrun-system",
    OPERATOR_DEPLOYMENT: "operator",
    OPERATOR_SELECTOR: "a=b",
  };

  it("needs only to know the operator, and no agent", () => {
    expect(readReleaseConfig(place, ["--watch-namespaces=a"])).toEqual({
      credentials: {
        kind: "ServiceAccount",
        directory: "/var/run/secrets/kubernetes.io/serviceaccount",
        server: "https://10.0.0.1:443",
      },
      watchNamespaces: ["a"],
      operator: {
        namespace: "trainingrun-system",
        deployment: "operator",
        selector: "a=b",
        lease: "trainingrun-operator",
      },
      timeoutSeconds: 120,
    });
  });

  it.each([
    [{ ...place, OPERATOR_DEPLOYMENT: "" }, [], "OPERATOR_DEPLOYMENT must name the operator's Deployment"],
    [
      { ...place, OPERATOR_NAMESPACE: "A" },
      [],
      "OPERATOR_NAMESPACE must name the namespace of the operator's Deployment",
    ],
    [{ ...place, TIMEOUT_SECONDS: "0" }, [], "TIMEOUT_SECONDS must be a whole number from 1 to 3600"],
    [{ OPERATOR_NAMESPACE: "a" }, [], "OPERATOR_SELECTOR must be the label selector of the operator's pods"],
    [place, ["--workers=1"], "Known flags: --kubeconfig"],
  ])("refuses %j %j", (environment, args, words) => {
    expect(() => readReleaseConfig(environment, args)).toThrow(words);
  });
});
