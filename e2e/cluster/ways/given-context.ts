import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";

const fields = z.record(z.string(), z.unknown());
const kubeconfigSchema = z.object({
  "current-context": z.string().nullish(),
  contexts: z
    .array(z.object({ name: z.string(), context: z.looseObject({ cluster: z.string(), user: z.string() }) }))
    .nullish(),
  clusters: z.array(z.object({ name: z.string(), cluster: fields })).nullish(),
  users: z.array(z.object({ name: z.string(), user: fields.nullish() })).nullish(),
});

/** Fields that name a file, from where their own file is. */
const pathFields = new Set(["certificate-authority", "client-certificate", "client-key", "tokenFile"]);

/**
 * A kubeconfig that holds one context and what belongs to it: the named one, or the current one, of the files that
 * kubectl would read. Of two entries with one name the first counts, as for kubectl.
 *
 * @throws {Error} that names the contexts there are, when this is none of them.
 */
export async function findContext(name: string | undefined): Promise<object> {
  const files = kubeconfigPaths().filter((path) => existsSync(path));
  const configs = await Promise.all(files.map(read));
  const wanted = name ?? configs.find((config) => config["current-context"])?.["current-context"] ?? "";
  const contexts = configs.flatMap((config) => config.contexts ?? []);
  const context = contexts.find((one) => one.name === wanted);
  const cluster = configs
    .flatMap((config) => config.clusters ?? [])
    .find((one) => one.name === context?.context.cluster);
  const user = configs.flatMap((config) => config.users ?? []).find((one) => one.name === context?.context.user);
  if (context === undefined || cluster === undefined || user === undefined) {
    const known = contexts.map((one) => one.name).join(", ");
    throw new Error(
      `Cannot use context "${wanted}" of ${kubeconfigPaths().join(delimiter)}: it has ${known || "none"}`,
    );
  }
  const kind = { apiVersion: "v1", kind: "Config", "current-context": wanted };
  return { ...kind, contexts: [context], clusters: [cluster], users: [user] };
}

function kubeconfigPaths(): string[] {
  const { KUBECONFIG } = process.env;
  const named = (KUBECONFIG ?? "").split(delimiter).filter((path) => path !== "");
  return named.length > 0 ? named : [join(homedir(), ".kube", "config")];
}

async function read(path: string): Promise<z.infer<typeof kubeconfigSchema>> {
  const config = kubeconfigSchema.parse(parse(await readFile(path, "utf8")) ?? {});
  const place = dirname(resolve(path));
  return {
    ...config,
    clusters: config.clusters?.map((one) => ({ ...one, cluster: absolute(one.cluster, place) })),
    users: config.users?.map((one) => ({ ...one, user: absolute(one.user ?? {}, place) })),
  };
}

function absolute(entry: z.infer<typeof fields>, place: string): z.infer<typeof fields> {
  return Object.fromEntries(
    Object.entries(entry).map(([name, value]) => [
      name,
      pathFields.has(name) && typeof value === "string" && value !== "" ? resolve(place, value) : value,
    ]),
  );
}
