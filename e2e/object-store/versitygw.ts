import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ensureVersitygw } from "../cluster/build/binaries.ts";
import { run } from "../cluster/processes/command.ts";
import { type StoreAccess, storeClient } from "./store-access.ts";
import type { Command, Lodging, StoreProgram, StoreUser, UserChange } from "./store-program.ts";

/** The gateway that keeps every object as a file, under its own name. */
export const versitygw: StoreProgram = {
  name: "versitygw",
  prepare,
  addUser: async (access, change) => {
    const { accessKeyId, secretAccessKey } = change.user;
    await administer(access, ["create-user", "--access", accessKeyId, "--secret", secretAccessKey, "--role", "user"]);
    await setRights(access, change.users);
  },
  removeUser: async (access, change: UserChange) => {
    await setRights(access, change.users);
    await administer(access, ["delete-user", "--access", change.user.accessKeyId]);
  },
};

async function prepare({ address, directory, root, region, tls }: Lodging): Promise<Command> {
  const command = await ensureVersitygw();
  const [objects, versions, users] = ["objects", "versions", "users"].map((name) => join(directory, name));
  for (const path of [objects, versions, users]) await mkdir(path ?? directory, { recursive: true });
  const secured = tls === undefined ? [] : ["--cert", tls.certificatePath, "--key", tls.keyPath];
  return {
    command,
    args: [
      ...["--port", address, "--region", region, ...secured],
      // A user that was just removed must be refused at once: no cache of users.
      ...["--iam-dir", users ?? directory, "--iam-cache-disable", "--keep-alive", "--quiet"],
      ...["posix", "--versioning-dir", versions ?? directory, objects ?? directory],
    ],
    env: { ROOT_ACCESS_KEY: root.accessKeyId, ROOT_SECRET_KEY: root.secretAccessKey },
  };
}

async function administer(access: StoreAccess, args: readonly string[]): Promise<void> {
  await run(await ensureVersitygw(), ["admin", "--allow-insecure", ...args], {
    env: {
      ADMIN_ENDPOINT_URL: access.endpoint,
      ADMIN_REGION: access.region,
      ADMIN_ACCESS_KEY_ID: access.accessKeyId,
      ADMIN_SECRET_ACCESS_KEY: access.secretAccessKey,
    },
  });
}

/** Users have no rights of their own here: the bucket's policy names each of them. */
async function setRights(access: StoreAccess, users: readonly StoreUser[]): Promise<void> {
  const statements = users
    .filter(({ rights }) => rights !== "None")
    .map(({ accessKeyId, rights }) => ({
      Effect: "Allow",
      Principal: { AWS: [accessKeyId] },
      Action: rights === "Read" ? ["s3:GetObject", "s3:ListBucket"] : ["s3:*"],
      Resource: [`arn:aws:s3:::${access.bucket}`, `arn:aws:s3:::${access.bucket}/*`],
    }));
  const policy = statements.length === 0 ? "" : JSON.stringify({ Version: "2012-10-17", Statement: statements });
  await storeClient(access).setBucketPolicy(access.bucket, policy);
}
