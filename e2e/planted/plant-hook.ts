import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { plantedSources, plantedVariable } from "./planted-sources.ts";

// For `node --import`: the process loads the sources that a mistake changes with the mistake in them.

const planted = process.env[plantedVariable];

if (planted !== undefined) {
  const sources = plantedSources(planted);
  registerHooks({
    load: (url, context, nextLoad) => {
      const loaded = nextLoad(url, context);
      const source = url.startsWith("file:") ? sources.get(fileURLToPath(url)) : undefined;
      return source === undefined ? loaded : { ...loaded, source };
    },
  });
}
