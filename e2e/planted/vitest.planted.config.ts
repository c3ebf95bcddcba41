import { defineConfig } from "vitest/config";
import { plantedSources, plantedVariable, root } from "./planted-sources.ts";

const planted = process.env[plantedVariable];
const sources = planted === undefined ? new Map<string, string>() : plantedSources(planted);

/** Runs tests of the tree with a mistake in its code; without one, as they are. Only the files named are run. */
export default defineConfig({
  root,
  plugins: [
    {
      name: "planted",
      enforce: "pre",
      load: (id) => sources.get(id.replace(/\?.*$/, "")) ?? null,
    },
  ],
  test: {
    allowOnly: false,
    retry: 0,
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", ".build/**", ".cache/**"],
    // Modules are cached by what is on the disk, which has no mistake in it.
    fsModuleCache: false,
    // One mistake is enough, and mistakes may keep a test waiting for what never comes.
    bail: 1,
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
});
