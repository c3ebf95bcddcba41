import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Agent, request } from "undici";
import type { ApiServer } from "../../e2e/cluster/control-plane/api-server.ts";
import { issue, makeAuthority } from "../../e2e/cluster/control-plane/certificates.ts";
import type { ClientCertificate } from "./api-access.ts";

/** What a test may do to an API server that is its own. */
export class ApiServerControl {
  readonly #api: ApiServer;
  #authorities = 0;

  constructor(api: ApiServer) {
    this.#api = api;
  }

  /** `https://host:port`. */
  get address(): URL {
    return new URL(this.#api.server);
  }

  /** The certificates of the authorities that the server's present certificate can be checked with. */
  async authorities(): Promise<string> {
    return await readFile(this.#api.caPath, "utf8");
  }

  /** Ends the server and starts it again; its data stay. */
  async restart(): Promise<void> {
    await this.#api.restart("kube-apiserver");
  }

  /** Ends the server, until it is restarted. */
  async halt(): Promise<void> {
    await this.#api.halt("kube-apiserver");
  }

  /** Stops the process where it stands: its connections stay, and nothing is said on them. */
  freeze(): void {
    this.#signal("SIGSTOP");
  }

  thaw(): void {
    this.#signal("SIGCONT");
  }

  /** Drops etcd's history up to now: what is older can neither be read page by page nor watched from then on. */
  async compact(): Promise<void> {
    const { server, client } = this.#api.etcd;
    const read = (path: string) => readFile(path, "utf8");
    const tls = {
      ca: await read(this.#api.caPath),
      cert: await read(client.certificatePath),
      key: await read(client.keyPath),
    };
    const dispatcher = new Agent({ connect: tls });
    try {
      const ask = async (path: string, body: unknown) => {
        const answer = await request(`${server}${path}`, { dispatcher, method: "POST", body: JSON.stringify(body) });
        const text = await answer.body.text();
        if (answer.statusCode !== 200) throw new Error(`Cannot compact etcd because ${path} was answered: ${text}`);
        return JSON.parse(text) as { header: { revision: string } };
      };
      // Any key will do: every answer says at which revision it was given.
      const { header } = await ask("/v3/kv/range", { key: Buffer.from("any").toString("base64") });
      await ask("/v3/kv/compaction", { revision: header.revision, physical: true });
    } finally {
      await dispatcher.close();
    }
  }

  /** Gives the server a new certificate by its own authority: nobody who trusts that should notice. */
  async renewCertificate(): Promise<void> {
    await this.#api.renewCertificate();
  }

  /**
   * Gives the server a certificate by a new authority, which the administrator's files name from then on beside the old
   * one. Whoever has a copy of the old one alone does not trust the server any more.
   */
  async changeAuthority(): Promise<void> {
    this.#authorities += 1;
    const authority = await makeAuthority(join(this.#api.directory, `authority-${this.#authorities}`));
    await appendFile(this.#api.caPath, await readFile(authority.certificatePath, "utf8"));
    await this.#api.renewCertificate(authority);
  }

  /** A certificate by which a client is that user: signed by the server's own authority, or by one that it does not know. */
  async clientCertificate(user: string, by: "Known" | "Unknown"): Promise<ClientCertificate> {
    const unknown = join(this.#api.directory, "unknown-authority");
    const authority = by === "Known" ? this.#api.authority : await makeAuthority(unknown);
    const { certificatePath, keyPath } = await issue(authority, { name: `client-${user}`, commonName: user });
    return { certificate: await readFile(certificatePath, "utf8"), key: await readFile(keyPath, "utf8") };
  }

  #signal(name: "SIGSTOP" | "SIGCONT"): void {
    const child = this.#api.processes().find((process) => process.name === "kube-apiserver");
    if (child === undefined || child.ending() !== undefined)
      throw new Error(`Cannot send ${name} to kube-apiserver because it does not run`);
    process.kill(child.identity.pid, name);
  }
}
