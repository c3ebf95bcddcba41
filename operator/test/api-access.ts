import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import type { Resource } from "../src/kubernetes/resource.ts";

/** Where a client is led, whom it trusts, and as whom it comes. */
export type AccessParts = Readonly<{
  server: string;
  /** PEM; none where the server is not spoken to by TLS. */
  authorities?: string;
  token?: string;
  client?: ClientCertificate;
}>;

/** A certificate that a client comes with, and its key: PEM. */
export type ClientCertificate = Readonly<{ certificate: string; key: string }>;

/** A kubeconfig whose parts can be replaced while it is in use, as a cluster replaces those of its pods. */
export class AccessFiles {
  readonly #directory: string;
  #parts: AccessParts;

  private constructor(directory: string, parts: AccessParts) {
    this.#directory = directory;
    this.#parts = parts;
  }

  static async make(parts: AccessParts): Promise<AccessFiles> {
    const files = new AccessFiles(await mkdtemp(join(tmpdir(), "trainingrun-access-")), parts);
    await files.replace({});
    return files;
  }

  get kubeconfigPath(): string {
    return join(this.#directory, "kubeconfig");
  }

  /** Puts other parts in place; each file is replaced whole, and the kubeconfig last. */
  async replace(parts: Partial<AccessParts>): Promise<void> {
    this.#parts = { ...this.#parts, ...parts };
    const { server, authorities, token, client } = this.#parts;
    if (authorities !== undefined) await this.#write("ca.crt", authorities);
    if (token !== undefined) await this.#write("token", token);
    if (client !== undefined) {
      await this.#write("client.key", client.key);
      await this.#write("client.crt", client.certificate);
    }
    const certificate = { "client-certificate": this.#path("client.crt"), "client-key": this.#path("client.key") };
    const user = {
      ...(token === undefined ? {} : { tokenFile: this.#path("token") }),
      ...(client === undefined ? {} : certificate),
    };
    const name = "test";
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": name,
      contexts: [{ name, context: { cluster: name, user: name } }],
      clusters: [
        {
          name,
          cluster: { server, ...(authorities === undefined ? {} : { "certificate-authority": this.#path("ca.crt") }) },
        },
      ],
      users: [{ name, user }],
    };
    await this.#write("kubeconfig", JSON.stringify(config));
  }

  async remove(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }

  async #write(name: string, text: string): Promise<void> {
    await writeFile(this.#path(`${name}.next`), text, { mode: 0o600 });
    await rename(this.#path(`${name}.next`), this.#path(name));
  }
}

const core = { group: "", version: "v1", scope: "Namespaced" } as const;
const serviceAccounts: Resource = { ...core, plural: "serviceaccounts", kind: "ServiceAccount" };
const secrets: Resource = { ...core, plural: "secrets", kind: "Secret" };
const roleBindings: Resource = {
  group: "rbac.authorization.k8s.io",
  version: "v1",
  plural: "clusterrolebindings",
  kind: "ClusterRoleBinding",
  scope: "Cluster",
};

const namespace = "default";
const forever = { signal: new AbortController().signal };

/** A service account that may do everything, and whose tokens can be taken back. */
export class TestAccount {
  readonly #client: ApiClient;
  readonly #name: string;
  #tokens = 0;

  private constructor(client: ApiClient, name: string) {
    this.#client = client;
    this.#name = name;
  }

  static async make(client: ApiClient, name: string): Promise<TestAccount> {
    await client.create({ resource: serviceAccounts, namespace }, { metadata: { name } }, forever);
    const binding = {
      metadata: { name },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
      subjects: [{ kind: "ServiceAccount", name, namespace }],
    };
    await client.create({ resource: roleBindings }, binding, forever);
    return new TestAccount(client, name);
  }

  /** A token that is good until it is revoked; the server may go on taking it for some ten seconds then. */
  async token(): Promise<Readonly<{ token: string; revoke: () => Promise<void> }>> {
    this.#tokens += 1;
    const name = `${this.#name}-${this.#tokens}`;
    const secret = await this.#client.create<KubeObject>(
      { resource: secrets, namespace },
      { metadata: { name } },
      forever,
    );
    const { uid } = secret.metadata;
    const target = { resource: serviceAccounts, namespace, name: this.#name, subresource: "token" };
    const spec = { boundObjectRef: { apiVersion: "v1", kind: "Secret", name, uid } };
    const answer = await this.#client.create<KubeObject & Readonly<{ status: { token: string } }>>(
      target,
      { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec },
      forever,
    );
    const revoke = async () => {
      await this.#client.remove({ resource: secrets, namespace, name }, { preconditions: { uid } }, forever);
    };
    return { token: answer.status.token, revoke };
  }
}
