import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeJwt, decodeProtectedHeader, SignJWT } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Server, startServer } from "../server.ts";
import { fetchToken, type Issuer, type IssuerOptions, signIn, startIssuer } from "./issuer.ts";

const SECRET = "Vq3mT8xK1zR6wL0pN5cY9sB2dF7hJ4gA";

let folder: string;
const running: { stop(): Promise<void> }[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "better-auth-"));
});

afterEach(async () => {
  for (const process of running.splice(0).reverse()) await process.stop();
  await rm(folder, { recursive: true });
});

async function issuerAt(options: Omit<IssuerOptions, "database"> = {}): Promise<Issuer> {
  const issuer = await startIssuer({ database: join(folder, "auth.db"), ...options });
  running.push(issuer);
  return issuer;
}

async function serverOf(issuer: Issuer, environment: Record<string, string> = {}): Promise<Server> {
  const server = await startServer({ BETTER_AUTH_SECRET: "", BETTER_AUTH_URL: issuer.base, ...environment });
  running.push(server);
  return server;
}

function ask(server: Server, token: string, method = "GET", path = "", body?: unknown): Promise<Response> {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  return fetch(`${server.url}/api/tasks${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
}

/** Calls all operations as one user, one after the other. */
async function callAll(server: Server, token: string): Promise<number[]> {
  const created = await ask(server, token, "POST", "", { title: "Buy milk" });
  const { id, user_id } = (await created.json()) as { id: string; user_id: string };
  expect(user_id).toBe(decodeJwt(token).sub);
  const statuses = [created.status];
  for (const [method, path, body] of [
    ["GET", ""],
    ["GET", `/${id}`],
    ["PUT", `/${id}`, { description: "Two litres" }],
    ["PATCH", `/${id}/complete`],
    ["DELETE", `/${id}`],
  ] as const) {
    statuses.push((await ask(server, token, method, path, body)).status);
  }
  return statuses;
}

test.each([
  ["EdDSA", undefined],
  ["EdDSA", { alg: "EdDSA", crv: "Ed25519" }],
  ["ES256", { alg: "ES256" }],
  ["RS256", { alg: "RS256", modulusLength: 2048 }],
  ["PS256", { alg: "PS256", modulusLength: 2048 }],
] as const)("a user who signs up calls all operations with a token by %s (%o)", async (algorithm, keyPairConfig) => {
  const issuer = await issuerAt(keyPairConfig && { jwks: { keyPairConfig } });
  const server = await serverOf(issuer);
  const { cookie, userId } = await issuer.signUp("alice");
  const token = await fetchToken(issuer, cookie);
  expect(decodeProtectedHeader(token).alg).toBe(algorithm);
  expect(decodeJwt(token)).toMatchObject({ sub: userId, iss: issuer.url, aud: issuer.url });
  expect(await callAll(server, token)).toEqual([201, 200, 200, 200, 200, 204]);
});

test.each(["/", "/api/auth/", "/auth", "/auth/", "/app/api/auth"])(
  "one base URL, ending with %s, is enough for Better Auth and for the server",
  async (path) => {
    const issuer = await issuerAt({ path });
    const server = await serverOf(issuer);
    const token = await fetchToken(issuer, (await issuer.signUp("alice")).cookie);
    expect(decodeJwt(token)).toMatchObject({ iss: issuer.url, aud: issuer.url });
    expect((await ask(server, token)).status).toBe(200);
  },
);

test("two users do not see or touch each other's tasks, and one user does from two devices", async () => {
  const issuer = await issuerAt();
  const server = await serverOf(issuer);
  const [alice, bob] = [await issuer.signUp("alice"), await issuer.signUp("bob")];
  const [hers, his] = [await fetchToken(issuer, alice.cookie), await fetchToken(issuer, bob.cookie)];
  const { id } = (await (await ask(server, hers, "POST", "", { title: "Hers" })).json()) as { id: string };
  expect(await (await ask(server, his)).json()).toEqual([]);
  for (const [method, path, body] of [
    ["GET", ""],
    ["PUT", "", { title: "His" }],
    ["PATCH", "/complete"],
    ["DELETE", ""],
  ] as const) {
    expect((await ask(server, his, method, `/${id}${path}`, body)).status).toBe(403);
  }
  const elsewhere = await fetchToken(issuer, await signIn(issuer, "alice"));
  const [task] = (await (await ask(server, elsewhere)).json()) as { title: string; user_id: string }[];
  expect(task).toMatchObject({ id, title: "Hers", completed: false, user_id: alice.userId });
});

test("no request is rejected while the keys rotate", async () => {
  // Sessions that get a token at the moment of a rotation create a key each.
  const issuer = await issuerAt({ jwks: { rotationInterval: 2 } });
  const server = await serverOf(issuer);
  const users = await Promise.all(["a", "b", "c", "d", "e", "f"].map((name) => issuer.signUp(name)));
  const seen = new Map<string, number>();
  const rotations = () => {
    const times = [...seen.values()];
    return times.filter((time, n) => time - (times[n - 1] ?? time) > 1000).length;
  };
  const statuses = new Map<number, number>();
  await Promise.all(
    users.map(async ({ cookie }) => {
      while (rotations() < 2) {
        const token = await fetchToken(issuer, cookie);
        const { kid = "" } = decodeProtectedHeader(token);
        if (!seen.has(kid)) seen.set(kid, Date.now());
        for (let n = 0; n < 5; n++) {
          const { status } = await ask(server, token);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
      }
    }),
  );
  expect([...statuses.keys()]).toEqual([200]);
  expect(seen.size).toBeGreaterThan(2);
});

test("a server continues while Better Auth is down, and accepts new users when it is back", async () => {
  const issuer = await issuerAt();
  const server = await serverOf(issuer);
  const { cookie } = await issuer.signUp("alice");
  const token = await fetchToken(issuer, cookie);
  expect((await ask(server, token)).status).toBe(200);
  await running.shift()?.stop();
  expect(await callAll(server, token)).toEqual([201, 200, 200, 200, 200, 204]);
  const { port } = new URL(issuer.url);
  const again = await issuerAt({ port: Number(port), jwks: { rotationInterval: 1 } });
  const { cookie: bob } = await again.signUp("bob");
  expect((await ask(server, await fetchToken(again, bob))).status).toBe(200);
  expect((await ask(server, token)).status).toBe(200);
});

test("a server that starts before Better Auth answers 503, and accepts tokens as soon as it is up", async () => {
  const issuer = await issuerAt();
  const { cookie } = await issuer.signUp("alice");
  const token = await fetchToken(issuer, cookie);
  await running.shift()?.stop();
  const server = await serverOf(issuer);
  const refused = await ask(server, token);
  expect([refused.status, refused.headers.get("Retry-After")]).toEqual([503, "1"]);
  await issuerAt({ port: Number(new URL(issuer.url).port) });
  await expect.poll(async () => (await ask(server, token)).status, { timeout: 30_000 }).toBe(200);
});

test("HS256 tokens with the shared secret work beside Better Auth's own tokens", async () => {
  const issuer = await issuerAt();
  const both = await serverOf(issuer, { BETTER_AUTH_SECRET: SECRET });
  const alone = await startServer({ BETTER_AUTH_SECRET: SECRET });
  running.push(alone);
  const { cookie, userId } = await issuer.signUp("alice");
  const claims = () => new SignJWT({}).setProtectedHeader({ alg: "HS256" }).setSubject(userId).setExpirationTime("15m");
  const key = new TextEncoder().encode(SECRET);
  const plain = await claims().sign(key);
  const full = await claims().setIssuedAt().setIssuer(issuer.url).setAudience(issuer.url).sign(key);
  expect(await callAll(alone, plain)).toEqual([201, 200, 200, 200, 200, 204]);
  expect(await callAll(both, full)).toEqual([201, 200, 200, 200, 200, 204]);
  expect((await ask(both, plain)).status).toBe(401);
  await ask(both, full, "POST", "", { title: "One user, two kinds of token" });
  expect(await (await ask(both, await fetchToken(issuer, cookie))).json()).toHaveLength(1);
});

test("the session cookie and Better Auth's cached session are not accepted as tokens", async () => {
  const issuer = await issuerAt();
  const server = await serverOf(issuer, { BETTER_AUTH_SECRET: "0kP2xV7mQ4tY9sW1cR6eU3iA8oL5zN+b" });
  const { cookie } = await issuer.signUp("alice");
  for (const value of cookie.split("; ").map((pair) => decodeURIComponent(pair.slice(pair.indexOf("=") + 1)))) {
    expect((await ask(server, value)).status).toBe(401);
  }
  const response = await fetch(`${server.url}/api/tasks`, { headers: { cookie } });
  expect(response.status).toBe(401);
});
