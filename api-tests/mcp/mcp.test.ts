import { afterAll, beforeAll, test } from "vitest";
import { INSTALL_TIMEOUT, python } from "../python.ts";
import { type Server, startServer } from "../server.ts";

let server: Server;
let run: Awaited<ReturnType<typeof python>>;

beforeAll(async () => {
  run = await python(new URL(".", import.meta.url));
  server = await startServer();
}, INSTALL_TIMEOUT);

afterAll(() => server?.stop());

test.each(["openapi.json", "openapi-3.0.json"])("a model calls all operations through FastMCP, by %s", async (name) => {
  const document = await fetch(`${server.url}/${name}`);
  await run("session.py", await document.text(), {
    TODO_API_TOKEN: await server.token(name),
    TODO_API_URL: server.url,
  });
});
