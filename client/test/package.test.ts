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

/** A project that has installed the package as it would be published. */
let project: string;
let installed: string;

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "todo-api-client-"));
  installed = join(project, "node_modules/todo-api-client");
  await mkdir(installed, { recursive: true });
  await run("npm", ["pack", "--pack-destination", project], { cwd: source("") });
  const [archive] = (await readdir(project)).filter((name) => name.endsWith(".tgz"));
  await run("tar", ["-xzf", join(project, archive!), "-C", installed, "--strip-components=1"]);
  for (const name of ["openapi-fetch", "react", "@types/react"]) {
    const dependency = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
    await mkdir(dirname(join(project, "node_modules", name)), { recursive: true });
    await symlink(dependency, join(project, "node_modules", name));
  }
});
afterAll(() => rm(project, { recursive: true }));

test("src/schema.ts is what the contract generates", async () => {
  await run("npm", ["run", "generate", "--", "--check"], { cwd: source("") }).catch((cause: unknown) => {
    throw new Error("openapi.yaml has changed: `make client` regenerates client/src/schema.ts", { cause });
  });
});

test("the package holds the build, the README and the licences, and nothing else", async () => {
  const licences = ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT"];
  expect((await readdir(installed)).sort()).toEqual([...licences, "README.md", "dist", "package.json"]);
  for (const licence of licences) {
    expect(await readFile(join(installed, licence))).toEqual(await readFile(source(`../${licence}`)));
  }
  const modules = (await readdir(source("src"))).map((name) => name.replace(/\.ts$/, ""));
  const build = modules.flatMap((name) => [`${name}.d.ts`, `${name}.js`]);
  expect((await readdir(join(installed, "dist"))).sort()).toEqual(build.sort());
});

test("the README needs no other file of the repository", async () => {
  const readme = await readFile(source("README.md"), "utf8");
  const targets = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target!);
  expect(targets.filter((target) => !/^(https:\/\/|#)/.test(target))).toEqual([]);
});

test("the package runs where it is installed", async () => {
  const main = 'import { createTodoClient } from "todo-api-client"; console.log(typeof createTodoClient);';
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", main], { cwd: project });
  expect(stdout).toBe("function\n");
});

/** What the compiler says of files of the project. */
async function compile(files: Record<string, string>, options: ts.CompilerOptions): Promise<string> {
  const paths = Object.keys(files).map((name) => join(project, name));
  await Promise.all(Object.values(files).map((text, n) => writeFile(paths[n]!, text)));
  const common = { strict: true, noEmit: true, skipDefaultLibCheck: true, target: ts.ScriptTarget.ES2022 };
  const program = ts.createProgram(paths, { ...common, jsx: ts.JsxEmit.ReactJSX, types: [], ...options });
  const host = { getCanonicalFileName: String, getCurrentDirectory: () => project, getNewLine: () => "\n" };
  return ts.formatDiagnostics(ts.getPreEmitDiagnostics(program), host);
}

/** The examples in TypeScript of a guide. */
async function examplesOf(path: string): Promise<string[]> {
  const guide = await readFile(source(path), "utf8");
  return [...guide.matchAll(/^```tsx?\n(.*?)^```/gms)].map(([, example]) => example!);
}

test("what the README shows is right by the types of the package", async () => {
  const examples = await examplesOf("README.md");
  expect(examples.length).toBeGreaterThan(5);
  const surroundings = `import { useMemo } from "react";
    import { createTodoClient, nextCursor, TodoApiError, type TodoClient, unwrap } from "todo-api-client";
    const todo = createTodoClient({ baseUrl: "", token: "" });
    declare function createTodo(userId: string): TodoClient;
    declare const [id, title, etag, signal]: [string, string, string | undefined, AbortSignal];
    declare const user: { id: string };`;
  const files = examples.map((example, n) => [
    `example-${n}.mts`,
    example.includes("import ") ? example : `${surroundings}\n{ ${example} }`,
  ]);
  const options = { exactOptionalPropertyTypes: true, module: ts.ModuleKind.NodeNext };
  expect(await compile(Object.fromEntries(files), options)).toBe("");
});

test("what the guide for front ends shows of the package is right by its types", async () => {
  const examples = (await examplesOf("../docs/front-ends.md")).filter((example) => example.includes("todo-api-client"));
  expect(examples).toHaveLength(1);
  const environment = "declare const process: { env: Record<string, string | undefined> };";
  const files = { "todo.tsx": `${examples[0]}\n${environment}` };
  expect(await compile(files, { module: ts.ModuleKind.Preserve })).toBe("");
});
