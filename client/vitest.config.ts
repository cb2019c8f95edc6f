import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Some files do little but wait.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
