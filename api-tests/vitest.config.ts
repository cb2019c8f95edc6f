import { configDefaults, defineConfig } from "vitest/config";

// The machine may be busy with other programs. The limits are only for tests that would wait forever.
export default defineConfig({
  test: {
    // `make consumers` runs these.
    exclude: [...configDefaults.exclude, "consumers/**"],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 60_000 } },
    // Not one for each core: each needs a browser or other large programs.
    maxWorkers: 2,
  },
});
