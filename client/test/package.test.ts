import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const source = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** A project with the package installed as it would be published. */
let project: string;
let installed: string;

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "todo-api-client-"));
  installed = join(project, "node_modules/todo-api-client");
  await mkdir(installed, { recursive: true });
  await run("npm", ["pack", "--pack-destination", project], { cwd: source("") });
  const [archive] = (await readdir(project)).filter((name) => name.endsWith(".tgz"));
  await run("tar", ["-xzf", join(project, archive!), "-C", installed, "--strip-components=1"]);
  const dependency = dirname(createRequire(import.meta.url).resolve("openapi-fetch/package.json"));
  await symlink(dependency, join(project, "node_modules/openapi-fetch"));
});
afterAll(() => rm(project, { recursive: true }));

test("src/schema.ts matches the contract", async () => {
  await run("npm", ["run", "generate", "--", "--check"], { cwd: source("") }).catch((cause: unknown) => {
    throw new Error("openapi.yaml has changed: `make client` regenerates client/src/schema.ts", { cause });
  });
});

test("the package contains only the build, the README and the licences", async () => {
  const licences = ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT"];
  expect((await readdir(installed)).sort()).toEqual([...licences, "README.md", "dist", "package.json"]);
  for (const licence of licences) {
    expect(await readFile(join(installed, licence))).toEqual(await readFile(source(`../${licence}`)));
  }
  const modules = (await readdir(source("src"))).map((name) => name.replace(/\.ts$/, ""));
  const build = modules.flatMap((name) => [`${name}.d.ts`, `${name}.js`]);
  expect((await readdir(join(installed, "dist"))).sort()).toEqual(build.sort());
});

test("the README refers to no other file of the repository", async () => {
  const readme = await readFile(source("README.md"), "utf8");
  const targets = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target!);
  expect(targets.filter((target) => !/^(https:\/\/|#)/.test(target))).toEqual([]);
});

test("the installed package works", async () => {
  const main = 'import { createTodoClient } from "todo-api-client"; console.log(typeof createTodoClient);';
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", main], { cwd: project });
  expect(stdout).toBe("function\n");
});

test("the examples in the README match the types of the package", async () => {
  const readme = await readFile(source("README.md"), "utf8");
  const examples = [...readme.matchAll(/^```ts\n(.*?)^```/gms)].map(([, example]) => example!);
  expect(examples.length).toBeGreaterThan(5);
  const surroundings = `import { createTodoClient, nextCursor, TodoApiError, unwrap } from "todo-api-client";
    const todo = createTodoClient({ baseUrl: "", token: "" });
    declare const [id, title, etag, signal]: [string, string, string | undefined, AbortSignal];`;
  const files = examples.map((example, n) => {
    const text = example.includes("import ") ? example : `${surroundings}\n{ ${example} }`;
    return { path: join(project, `example-${n}.mts`), text };
  });
  await Promise.all(files.map(({ path, text }) => writeFile(path, text)));

  const program = ts.createProgram(
    files.map(({ path }) => path),
    {
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      skipDefaultLibCheck: true,
      types: [],
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
    },
  );
  const host = { getCanonicalFileName: String, getCurrentDirectory: () => project, getNewLine: () => "\n" };
  expect(ts.formatDiagnostics(ts.getPreEmitDiagnostics(program), host)).toBe("");
});
