import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program } from "../server.ts";

const run = promisify(execFile);
const bin = (name: string) => new URL(`../../node_modules/.bin/${name}`, import.meta.url).pathname;
const settings = (name: string) => new URL(name, import.meta.url).pathname;
const spectral = ["lint", "--ruleset", settings("spectral.yaml"), "--fail-severity", "hint"];

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lints-"));
});

afterAll(() => rm(folder, { recursive: true }));

/** The document of the server. */
async function document(version: string): Promise<string> {
  const { stdout } = await run(program, ["openapi", "--version", version]);
  const file = join(folder, `${version}.yaml`);
  await writeFile(file, stdout);
  return file;
}

test.each(["3.1", "3.0"])("redocly has nothing to say of the document in OpenAPI %s", async (version) => {
  const arguments_ = ["lint", "--format=json", `--config=${settings("redocly.yaml")}`, await document(version)];
  const env = { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
  const { stdout } = await run(bin("redocly"), arguments_, { env });
  expect(JSON.parse(stdout)).toMatchObject({ totals: { errors: 0, warnings: 0, ignored: 0 } });
});

test.each(["3.1", "3.0"])("spectral has nothing to say of the document in OpenAPI %s", async (version) => {
  const { stdout } = await run(bin("spectral"), [...spectral, await document(version)]);
  expect(stdout).toBe("No results with a severity of 'hint' or higher found!\n");
});

test("the linters find errors", async () => {
  const file = join(folder, "wrong.yaml");
  await writeFile(file, "openapi: 3.1.0\ninfo: { title: x, version: '1' }\npaths: { /x: { get: {} } }\n");
  await expect(run(bin("redocly"), ["lint", `--config=${settings("redocly.yaml")}`, file])).rejects.toThrow();
  await expect(run(bin("spectral"), [...spectral, file])).rejects.toThrow();
});
