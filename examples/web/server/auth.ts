import { LibsqlDialect } from "@libsql/kysely-libsql";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { jwt } from "better-auth/plugins";
import { config } from "./config";

/** Users, sessions, and the tokens for the API: EdDSA, from /api/auth/token, with the keys at /api/auth/jwks. */
export const auth = betterAuth({
  baseURL: config.url,
  secret: config.secret,
  database: { dialect: new LibsqlDialect({ url: `file:${config.database}` }), type: "sqlite" },
  emailAndPassword: { enabled: true },
  plugins: [
    jwt({
      jwt: { expirationTime: config.tokenLifetime },
      jwks: { rotationInterval: config.keyLifetime },
      disableSettingJwtHeader: true,
    }),
  ],
  advanced: { ipAddress: { trustedProxies: config.trustedProxies } },
  telemetry: { enabled: false },
});

const { runMigrations } = await getMigrations(auth.options);
await runMigrations();
