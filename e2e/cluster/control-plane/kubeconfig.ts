import { rename, writeFile } from "node:fs/promises";
import { stringify } from "yaml";
import type { KeyPair } from "./certificates.ts";

/** Where an API server is and who asks it. */
export interface Access {
  readonly server: string;
  readonly caPath: string;
  readonly client: KeyPair;
}

/** Writes a kubeconfig with one context. It refers to the certificates by path, so they must stay where they are. */
export async function writeKubeconfig(path: string, access: Access): Promise<string> {
  const name = "trainingrun-local";
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    clusters: [{ name, cluster: { server: access.server, "certificate-authority": access.caPath } }],
    users: [
      {
        name,
        user: { "client-certificate": access.client.certificatePath, "client-key": access.client.keyPath },
      },
    ],
  };
  // Renamed into place: whoever waits for the file never reads half of it.
  await writeFile(`${path}.new`, stringify(config), { mode: 0o600 });
  await rename(`${path}.new`, path);
  return path;
}
