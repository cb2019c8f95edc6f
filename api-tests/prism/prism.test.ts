import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { program, type Server, startServer } from "../server.ts";
import { type Prism, startPrism, violations } from "./prism.ts";

const run = promisify(execFile);

/** Prism cannot provoke these: a slow body, two requests at one instant, a rate limit, a defect, a wrong `Host`. */
const OUT_OF_REACH = / (408|409|429|500)$|^GET \/api\/tasks 400$/;

let folder: string;
let server: Server;
/** Its database is away. */
let troubled: Server;
const proxies: Prism[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-"));
  [server, troubled] = await Promise.all([
    startServer(),
    startServer({ DATABASE_URL: "postgres://nobody@127.0.0.1:1/none" }),
  ]);
});

// A proxy is slow to start on a busy machine.
vi.setConfig({ testTimeout: 180_000 });

afterAll(async () => {
  await Promise.all([server?.stop(), troubled?.stop(), ...proxies.map((proxy) => proxy.stop())]);
  await rm(folder, { recursive: true });
});

async function proxy(document: string, upstream: Server, ...options: string[]): Promise<Prism> {
  const proxy = await startPrism(document, upstream.url, ...options);
  proxies.push(proxy);
  return proxy;
}

async function documentOf(version: string): Promise<{ file: string; json: string }> {
  const { stdout } = await run(program, ["openapi", "--version", version, "--format", "json"]);
  const file = join(folder, `${version}.json`);
  await writeFile(file, stdout);
  return { file, json: stdout };
}

type Headers = Record<string, string>;
type Send = (
  operation: string,
  status: number,
  headers: Headers,
  body?: unknown,
  query?: string,
  id?: string,
) => Promise<Response>;

/** The statuses of each operation. */
class Seen {
  readonly #seen = new Set<string>();

  /** Sends requests through a proxy, each to a new task, and expects the status and no violation in the answer. */
  through(proxy: Prism, upstream: Server, user: string): Send {
    return async (operation, status, headers, body, query = "", other = "") => {
      const [method, path] = operation.split(" ") as [string, string];
      const token = `Bearer ${await upstream.token(user)}`;
      const id = other || (path.includes("{id}") && upstream === server ? await newTask(user) : crypto.randomUUID());
      const answer = await fetch(proxy.url + path.replace("{id}", id) + query, {
        method,
        headers: {
          Authorization: token,
          ...(body !== undefined && { "Content-Type": "application/json" }),
          ...headers,
        },
        body: body === undefined ? null : JSON.stringify(body),
      });
      const text = await answer.clone().text();
      const name = `${operation} ${status} ${JSON.stringify(headers)}: ${text}`;
      expect(violations(answer), name).toEqual([]);
      expect(answer.status, name).toBe(status);
      this.#seen.add(`${operation} ${status}`);
      return answer;
    };
  }

  missing(document: string): string[] {
    const paths: Record<string, Record<string, { responses: object }>> = JSON.parse(document).paths;
    const declared = Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).flatMap(([method, { responses }]) =>
        Object.keys(responses).map((status) => `${method.toUpperCase()} ${path} ${status}`),
      ),
    );
    return declared.filter((each) => !this.#seen.has(each) && !OUT_OF_REACH.test(each));
  }
}

/** The id of a task that the server itself makes. */
async function newTask(user: string): Promise<string> {
  const answer = await fetch(`${server.url}/api/tasks`, {
    method: "POST",
    headers: { Authorization: `Bearer ${await server.token(user)}`, "Content-Type": "application/json" },
    body: JSON.stringify({ title: "Buy milk" }),
  });
  expect(answer.status).toBe(201);
  return (await answer.json()).id;
}

const LIST = "GET /api/tasks";
const CREATE = "POST /api/tasks";
const GET = "GET /api/tasks/{id}";
const UPDATE = "PUT /api/tasks/{id}";
const DELETE = "DELETE /api/tasks/{id}";
const COMPLETE = "PATCH /api/tasks/{id}/complete";

/** A valid request of each operation. */
const VALID: [string, number, unknown?][] = [
  [LIST, 200],
  [CREATE, 201, { title: "Buy milk", description: null, due_date: "2026-12-01T09:30:00+01:00" }],
  [GET, 200],
  [UPDATE, 200, { description: "Two litres" }],
  [COMPLETE, 200, { completed: true }],
  [DELETE, 204],
];

test("Prism finds no violation in any operation or error", async () => {
  const { file, json } = await documentOf("3.1");
  const [strict, lenient, away] = await Promise.all([
    // It replaces each answer whose request or content breaks the document.
    proxy(file, server, "--errors"),
    // It passes on requests that break the document, and reports the violations of each answer in a header.
    proxy(file, server),
    proxy(file, troubled),
  ]);
  const seen = new Seen();

  const valid = seen.through(strict, server, "alice");
  for (const [operation, status, body] of VALID) await valid(operation, status, {}, body);
  await valid(LIST, 200, {}, undefined, "?status=pending&sort=title&order=desc&limit=1");
  await valid(CREATE, 201, { "Idempotency-Key": "bread" }, { title: "Bake bread" });
  const replayed = await valid(CREATE, 201, { "Idempotency-Key": "bread" }, { title: "Bake bread" });
  expect(replayed.headers.get("idempotency-replayed")).toBe("true");
  await valid(CREATE, 422, { "Idempotency-Key": "bread" }, { title: "Bake a cake" });
  await valid(GET, 304, { "If-None-Match": '"1"' });
  await valid(UPDATE, 200, { "If-Match": '"1"' }, {});
  await valid(COMPLETE, 200, {});
  for (const operation of [UPDATE, COMPLETE, DELETE]) {
    await valid(operation, 412, { "If-Match": '"9"' }, operation === UPDATE ? {} : undefined);
  }

  const wrong = seen.through(lenient, server, "alice");
  const stopped = seen.through(away, troubled, "alice");
  await wrong(CREATE, 400, { "Idempotency-Key": '"' }, { title: "Bake bread" });
  for (const [operation, , body] of VALID) {
    await wrong(operation, 401, { Authorization: "" }, body);
    await wrong(operation, 401, { Authorization: "Bearer none" }, body);
    await wrong(operation, 422, {}, body, "?stauts=all");
    await stopped(operation, 503, {}, body);
    if (operation.includes("{id}")) {
      await wrong(operation, 403, { Authorization: `Bearer ${await server.token("bob")}` }, body);
      await wrong(operation, 404, {}, body, "", crypto.randomUUID());
      await wrong(operation, 404, {}, body, "", "1");
      await wrong(operation, 400, { "If-None-Match": "1" }, body);
    }
    if (body) {
      await wrong(operation, 413, {}, { ...body, title: "x".repeat(70_000) });
      await wrong(operation, 415, { "Content-Type": "text/plain" }, body);
      await wrong(operation, 422, {}, { ...body, completed: "yes", stauts: 1 });
    }
  }
  expect(seen.missing(json)).toEqual([]);
});

test("Prism finds no violation in any operation, by OpenAPI 3.0", async () => {
  const { file } = await documentOf("3.0");
  const valid = new Seen().through(await proxy(file, server, "--errors"), server, "alice");
  for (const [operation, status, body] of VALID) await valid(operation, status, {}, body);
});

test("Prism finds answers that break the document", async () => {
  const document = JSON.parse((await documentOf("3.1")).json);
  document.components.schemas.TaskResponse.properties.user_id.type = "integer";
  delete document.paths["/api/tasks/{id}"].get.responses["404"];
  document.components.responses.Unauthorized.headers["Retry-After"] = { required: true, schema: { type: "string" } };
  const file = join(folder, "wrong.json");
  await writeFile(file, JSON.stringify(document));
  const { url } = await proxy(file, server);
  const headers = { Authorization: `Bearer ${await server.token("alice")}` };
  const seen = async (id: string, headers: Headers) => violations(await fetch(`${url}/api/tasks/${id}`, { headers }));

  expect(await seen(await newTask("alice"), headers)).toEqual([expect.stringContaining("user_id must be integer")]);
  expect(await seen(crypto.randomUUID(), headers)).toEqual([expect.stringContaining("status code")]);
  expect(await seen(crypto.randomUUID(), {})).toEqual([expect.stringContaining("retry-after")]);
});
