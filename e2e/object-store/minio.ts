import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ensureMinio } from "../cluster/build/binaries.ts";
import { callAdmin, encryptForAdmin } from "./minio-admin.ts";
import type { StoreAccess } from "./store-access.ts";
import type { Command, Lodging, Rights, StoreProgram, StoreUser } from "./store-program.ts";

/** MinIO on one directory. */
export const minio: StoreProgram = {
  name: "minio",
  prepare,
  addUser: (access, { user }) => addUser(access, user),
  removeUser: (access, { user }) =>
    callAdmin(access, { method: "DELETE", call: "remove-user", query: { accessKey: user.accessKeyId } }),
};

/** From here on the bucket takes no object with which it would hold `bytes` or more; an object of that size alone is refused at once. */
export async function setMinioQuota(access: StoreAccess, bytes: number): Promise<void> {
  await callAdmin(access, {
    method: "PUT",
    call: "set-bucket-quota",
    query: { bucket: access.bucket },
    body: JSON.stringify({ quota: bytes, size: bytes, quotatype: "hard" }),
  });
}

async function prepare({ address, directory, root, region, tls }: Lodging): Promise<Command> {
  const command = await ensureMinio();
  const [objects, certificates] = [join(directory, "objects"), join(directory, "certificates")];
  for (const path of [objects, certificates]) await mkdir(path, { recursive: true });
  if (tls !== undefined) {
    await copyFile(tls.certificatePath, join(certificates, "public.crt"));
    await copyFile(tls.keyPath, join(certificates, "private.key"));
  }
  return {
    command,
    args: ["server", "--quiet", "--address", address, "--certs-dir", certificates, objects],
    env: {
      HOME: directory,
      MINIO_ROOT_USER: root.accessKeyId,
      MINIO_ROOT_PASSWORD: root.secretAccessKey,
      MINIO_REGION_NAME: region,
      MINIO_BROWSER: "off",
      // It would ask for a newer version of itself on the internet.
      MINIO_UPDATE: "off",
    },
  };
}

const policies: Readonly<Record<Exclude<Rights, "None">, string>> = { Read: "readonly", ReadWrite: "readwrite" };

async function addUser(access: StoreAccess, user: StoreUser): Promise<void> {
  const account = JSON.stringify({ secretKey: user.secretAccessKey, status: "enabled" });
  await callAdmin(access, {
    method: "PUT",
    call: "add-user",
    query: { accessKey: user.accessKeyId },
    body: encryptForAdmin(account, access.secretAccessKey),
  });
  if (user.rights === "None") return;
  await callAdmin(access, {
    method: "PUT",
    call: "set-user-or-group-policy",
    query: { policyName: policies[user.rights], userOrGroup: user.accessKeyId, isGroup: "false" },
  });
}
