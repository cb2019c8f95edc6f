/** A real Better Auth with a file as storage. Its jwt plugin creates and rotates the keys. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { LibsqlDialect } from "@libsql/kysely-libsql";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { type JwtOptions, jwt } from "better-auth/plugins";

type Jwks = NonNullable<JwtOptions["jwks"]>;

export interface IssuerOptions {
  /** The file of its database. */
  database: string;
  /** Port to listen on; a free one by default. */
  port?: number;
  /** The path of its base URL; none by default. */
  path?: string;
  /** Additional options of the keys. */
  jwks?: Jwks;
}

/** A running Better Auth. */
export interface Issuer {
  /** Its origin. */
  url: string;
  /** Its configured base URL. */
  base: string;
  /** The URL of its API, without a slash at the end. */
  api: string;
  /** Signs up a new user. Returns the cookies that a browser would send. */
  signUp(name: string): Promise<Session>;
  /** Stops listening. */
  stop(): Promise<void>;
}

export interface Session {
  cookie: string;
  userId: string;
}

const PASSWORD = "correct horse battery staple";

export async function startIssuer({ database, port = 0, path = "", jwks = {} }: IssuerOptions): Promise<Issuer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "localhost", resolve));
  const url = `http://localhost:${(server.address() as AddressInfo).port}`;
  const base = `${url}${path}`;
  const api = `${url}${path.replace(/\/+$/, "") || "/api/auth"}`;
  const auth = betterAuth({
    baseURL: base,
    secret: "0kP2xV7mQ4tY9sW1cR6eU3iA8oL5zN+b",
    database: { dialect: new LibsqlDialect({ url: `file:${database}` }), type: "sqlite" },
    emailAndPassword: { enabled: true },
    plugins: [jwt({ jwks })],
    telemetry: { enabled: false },
  });
  await (await getMigrations(auth.options)).runMigrations();
  server.on("request", toNodeHandler(auth));
  return {
    url,
    base,
    api,
    async signUp(name) {
      const response = await fetch(`${api}/sign-up/email`, {
        method: "POST",
        headers: { "Content-Type": "application/json", Origin: url },
        body: JSON.stringify({ name, email: `${name}@example.com`, password: PASSWORD }),
      });
      if (!response.ok) throw new Error(`sign-up: ${response.status} ${await response.text()}`);
      const cookie = response.headers
        .getSetCookie()
        .map((set) => set.split(";")[0])
        .join("; ");
      const { user } = (await response.json()) as { user: { id: string } };
      return { cookie, userId: user.id };
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Signs in again, as on another device. */
export async function signIn(issuer: Issuer, name: string): Promise<string> {
  const response = await fetch(`${issuer.api}/sign-in/email`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Origin: issuer.url },
    body: JSON.stringify({ email: `${name}@example.com`, password: PASSWORD }),
  });
  if (!response.ok) throw new Error(`sign-in: ${response.status} ${await response.text()}`);
  return response.headers
    .getSetCookie()
    .map((set) => set.split(";")[0])
    .join("; ");
}

/** A JWT of the session. */
export async function fetchToken(issuer: Issuer, cookie: string): Promise<string> {
  const response = await fetch(`${issuer.api}/token`, { headers: { cookie } });
  if (!response.ok) throw new Error(`token: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { token: string }).token;
}
