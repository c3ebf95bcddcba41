import { defineConfig } from "vitest/config";

const exclude = ["**/node_modules/**", ".build/**", ".cache/**"];

/** No test keeps others from running, and none is tried until it passes: such a run would look better than it is. */
const honest = { allowOnly: false, retry: 0 } as const;

/**
 * Four projects, by what a test needs: nothing (unit), a real API server (apiserver), a real object store (store), a
 * whole cluster (cluster). The last three run one file at a time: on two cores, servers of many files beside each other
 * only slow each other down.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...honest,
          name: "unit",
          include: ["**/*.test.ts"],
          exclude: [...exclude, "**/*.apiserver.test.ts", "**/*.cluster.test.ts", "**/*.store.test.ts"],
          // By itself Vitest leaves a core idle, which is half of a machine with two.
          maxWorkers: "100%",
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          ...honest,
          name: "apiserver",
          include: ["**/*.apiserver.test.ts"],
          globalSetup: ["operator/test/shared-api-server.ts"],
          exclude,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          ...honest,
          name: "store",
          include: ["**/*.store.test.ts"],
          exclude,
          fileParallelism: false,
          testTimeout: 120_000,
          // A clone that never ran `make setup` builds the servers in a hook.
          hookTimeout: 900_000,
        },
      },
      {
        test: {
          ...honest,
          name: "cluster",
          include: ["**/*.cluster.test.ts"],
          exclude,
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 900_000,
        },
      },
    ],
  },
});
