import { configDefaults, defineConfig } from "vitest/config";

// Two cores run a server, an issuer and a browser, so the time limits of tests are long.
export default defineConfig({
  test: {
    // `make consumers` runs these.
    exclude: [...configDefaults.exclude, "consumers/**"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 30_000 } },
    fileParallelism: false,
  },
});
