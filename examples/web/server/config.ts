import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

const { env } = process;
const port = Number(env.PORT ?? 3000);

/** The configuration from the environment. */
export const config = {
  host: env.HOST ?? "127.0.0.1",
  port,
  /** The address of this server for browsers, and the issuer and audience of its tokens. */
  url: new URL(env.BETTER_AUTH_URL ?? `http://localhost:${port}`).origin,
  apiUrl: new URL(env.API_URL ?? "http://localhost:8000"),
  secret: env.BETTER_AUTH_SECRET ?? developmentSecret(),
  database: env.AUTH_DATABASE ?? "data/auth.db",
  tokenLifetime: env.AUTH_TOKEN_LIFETIME ?? "15m",
  /** Seconds for which a key signs. It is published, and so verifies, for thirty more days. */
  keyLifetime: Number(env.AUTH_KEY_LIFETIME ?? 30 * 24 * 3600),
  /** Addresses and networks of proxies with a trusted `X-Forwarded-For`. */
  trustedProxies: (env.TRUSTED_PROXIES ?? "127.0.0.1,::1").split(","),
};

mkdirSync(dirname(config.database), { recursive: true, mode: 0o700 });

/** A stored secret, so that sessions survive a restart. */
function developmentSecret(): string {
  if (env.NODE_ENV === "production")
    throw new Error("BETTER_AUTH_SECRET is not set; openssl rand -base64 32 makes one");
  const file = "data/auth-secret";
  if (!existsSync(file)) {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, randomBytes(32).toString("base64"), { mode: 0o600 });
  }
  return readFileSync(file, "utf8");
}
