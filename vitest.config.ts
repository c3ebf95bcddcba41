import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", ".build/**", ".cache/**", "e2e/**"],
    testTimeout: 30_000,
  },
});
