import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program, type Server, startServer } from "../server.ts";
import { bruno, type Call, postman } from "./collections.ts";

const run = promisify(execFile);

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => server?.stop());

/** Sends an imported request, with the id of a real task in its path. */
function send({ method, url, headers, body }: Call, id: string): Promise<Response> {
  return fetch(url.replace(":id", id), { method, headers, body: body ?? null });
}

const documents = ["3.1", "3.0"].flatMap((version) => [
  ["Postman", version, postman] as const,
  ["Bruno", version, bruno] as const,
]);

test.each(documents)("%s imports OpenAPI %s, and all its requests are answered", async (name, version, load) => {
  const arguments_ = ["openapi", "--version", version, "--format", "json", "--server", server.url];
  const { stdout } = await run(program, arguments_);
  const calls = await load(stdout, await server.token(`${name} ${version}`));

  const declared = Object.entries<object>(JSON.parse(stdout).paths).flatMap(([path, operations]) =>
    Object.keys(operations).map(
      (method) => `${method.toUpperCase()} ${server.url}${path.replaceAll(/{(.+?)}/g, ":$1")}`,
    ),
  );
  // No path has two slashes, and no request is missing.
  expect(calls.map(({ method, url }) => `${method} ${url.split("?")[0]}`).sort()).toEqual(declared.sort());

  const create = calls.find(({ method }) => method === "POST")!;
  const ids = new Set<string>();
  for (const call of calls) {
    // Each request has a task of its own, made as imported: a second one must not replay the first.
    const created = await send(create, "");
    const task = await created.json();
    expect(created.status, JSON.stringify(task)).toBe(201);
    expect(ids.size).toBe(ids.add(task.id).size - 1);

    if (call.url.includes(":")) expect(Object.values(call.variables).join()).toMatch(/^([0-9a-f-]{36})?$/);
    const answer = await send(call, task.id);
    const text = await answer.text();
    expect(answer.ok, `${call.method} ${call.url}: ${text}`).toBe(true);
    if (call.body) expect(JSON.parse(text)).toMatchObject(JSON.parse(call.body));
  }
});
