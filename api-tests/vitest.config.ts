import { defineConfig } from "vitest/config";

// Two cores run a server, an issuer and a browser: a test that waits for them waits long before it gives up.
export default defineConfig({ test: { testTimeout: 60_000, hookTimeout: 60_000, fileParallelism: false } });
