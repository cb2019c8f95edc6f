import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Some files do little but wait.
    maxWorkers: 3,
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
});
