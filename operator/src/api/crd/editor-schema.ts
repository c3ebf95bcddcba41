import { z } from "zod";
import { apiVersion, kind } from "../names.ts";
import { TrainingRunSpec } from "../spec.ts";

/** The JSON schema that editors complete and check manifests with. It speaks of what a user writes, so not of status. */
export function editorSchema(): unknown {
  const manifest = z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(kind),
    metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
    spec: TrainingRunSpec,
  });
  return withoutClusterKeywords(z.toJSONSchema(manifest, { io: "input", reused: "inline" }));
}

/** `x-kubernetes-...` means nothing to an editor. */
function withoutClusterKeywords(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(withoutClusterKeywords);
  if (typeof json !== "object" || json === null) return json;
  return Object.fromEntries(
    Object.entries(json)
      .filter(([keyword]) => !keyword.startsWith("x-kubernetes-"))
      .map(([keyword, value]) => [keyword, withoutClusterKeywords(value)]),
  );
}
