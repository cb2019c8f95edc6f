import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { python } from "../python.ts";
import { type Server, startServer } from "../server.ts";
import { session } from "./session.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => server?.stop());

const drivers = (await readdir(new URL("drivers", import.meta.url))).map((file) => file.replace(/\.ts$/, ""));

test.each(drivers)("a user calls all operations through %s", async (driver) => {
  const { default: connect } = await import(`./drivers/${driver}.ts`);
  await session(await connect(server.url, await server.token(driver)));
});

test("a user calls all operations through openapi-generator in Python", async () => {
  const run = await python(new URL("openapi-generator/", import.meta.url));
  await run("session.py", "", {
    PYTHONPATH: fileURLToPath(new URL("generated/openapi-generator-python", import.meta.url)),
    TODO_API_TOKEN: await server.token("python"),
    TODO_API_URL: server.url,
  });
});

test("a client whose answers are wrong is found", async () => {
  const { default: connect } = await import("./drivers/hey-api.ts");
  const client = connect(server.url, await server.token("nobody"));
  await expect(session({ ...client, list: async () => [] })).rejects.toThrow();
  await expect(session(connect(server.url, "none"))).rejects.toThrow();
});
