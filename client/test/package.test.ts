import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const source = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** A clone after `npm ci`, in which nothing has been built. */
let clone: string;
/** A project that has installed the package as it would be published. */
let project: string;
let installed: string;

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "todo-api-client-"));
  installed = join(project, "node_modules/todo-api-client");
  await mkdir(installed, { recursive: true });
  clone = await cloneRepository();
  await run("npm", ["pack", "--workspace", "client", "--pack-destination", project], { cwd: clone });
  const [archive] = (await readdir(project)).filter((name) => name.endsWith(".tgz"));
  await run("tar", ["-xzf", join(project, archive!), "-C", installed, "--strip-components=1"]);
  for (const name of ["openapi-fetch", "react", "@types/react", "@tanstack/react-query"]) {
    const dependency = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
    await mkdir(dirname(join(project, "node_modules", name)), { recursive: true });
    await symlink(dependency, join(project, "node_modules", name));
  }
});
afterAll(() => Promise.all([clone, project].map((folder) => rm(folder, { recursive: true }))));

async function cloneRepository(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "todo-api-clone-"));
  const root = source("../");
  const listed = ["ls-files", "--cached", "--others", "--exclude-standard", "client", "LICENSE*", "*package*.json"];
  const { stdout } = await run("git", listed, { cwd: root });
  for (const file of stdout.trimEnd().split("\n")) await cp(join(root, file), join(folder, file));
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}

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

test("npm has nothing to correct or to warn of before it publishes the package", async () => {
  const dryRun = ["publish", "--dry-run", "--offline", "--ignore-scripts", "--workspace", "client"];
  const { stderr } = await run("npm", dryRun, { cwd: clone });
  const warnings = stderr.split("\n").filter((line) => line.startsWith("npm warn"));
  expect(warnings.filter((line) => !line.includes("requires you to be logged in"))).toEqual([]);
});

test("the README needs no other file of the repository", async () => {
  const readme = await readFile(source("README.md"), "utf8");
  const targets = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target!);
  expect(targets.filter((target) => !/^(https:\/\/|#)/.test(target))).toEqual([]);
});

test("the installed package works", async () => {
  const main = 'import { createTodoClient } from "todo-api-client"; console.log(typeof createTodoClient);';
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", main], { cwd: project });
  expect(stdout).toBe("function\n");
});

/** What the compiler says of files of the project. */
async function compile(files: Record<string, string>, options: ts.CompilerOptions): Promise<string> {
  const paths = Object.keys(files).map((name) => join(project, name));
  await Promise.all(Object.values(files).map((text, n) => writeFile(paths[n]!, text)));
  const common = { strict: true, noEmit: true, skipDefaultLibCheck: true, target: ts.ScriptTarget.ES2022 };
  const sources = paths.filter((path) => !path.endsWith(".json"));
  const program = ts.createProgram(sources, { ...common, jsx: ts.JsxEmit.ReactJSX, types: [], ...options });
  const host = { getCanonicalFileName: String, getCurrentDirectory: () => project, getNewLine: () => "\n" };
  return ts.formatDiagnostics(ts.getPreEmitDiagnostics(program), host);
}

test("the package has its types in a project with the options of an older compiler, too", async () => {
  const main = `import { createTodoClient, type Task, unwrap } from "todo-api-client";
    const todo = createTodoClient({ baseUrl: "", token: "" });
    export const tasks: Promise<Task[]> = todo.listTasks().then(unwrap);
    const seen = await todo.getTask("");
    export const saved = seen.error ? undefined : todo.updateTask("", {}, { ifMatch: seen.etag });
    // @ts-expect-error Without exactOptionalPropertyTypes, too, a tag that may be missing is refused.
    export const overwritten = todo.updateTask("", {}, { ifMatch: seen.etag });`;
  const options = { module: ts.ModuleKind.ES2022, moduleResolution: ts.ModuleResolutionKind.Node10 };
  expect(await compile({ "main.ts": main }, options)).toBe("");
});

/** The examples in TypeScript of a guide. */
async function examplesOf(path: string): Promise<string[]> {
  const guide = await readFile(source(path), "utf8");
  return [...guide.matchAll(/^```tsx?\n(.*?)^```/gms)].map(([, example]) => example!);
}

test("what the README and the guide for front ends show is right by the types of the package", async () => {
  const readme = await examplesOf("README.md");
  const guide = await examplesOf("../docs/front-ends.md");
  const examples = [...readme, ...guide.filter((example) => example.includes("todo-api-client"))];
  expect(examples.length).toBeGreaterThan(readme.length);
  const surroundings = `import { useMemo } from "react";
    import { createTodoClient, nextCursor, TodoApiError, type TodoClient, unwrap } from "todo-api-client";
    const todo = createTodoClient({ baseUrl: "", token: "" });
    declare function createTodo(userId: string): TodoClient;
    declare const [id, title, etag, signal]: [string, string, string | undefined, AbortSignal];
    declare const user: { id: string };`;
  const files = examples.map((example, n) => [
    `example-${n}.tsx`,
    example.includes("import ") ? example : `${surroundings}\n{ ${example} }`,
  ]);
  const environment = "declare const process: { env: Record<string, string | undefined> };";
  const options = { exactOptionalPropertyTypes: true, module: ts.ModuleKind.NodeNext };
  const all = { "package.json": '{"type":"module"}', "environment.d.ts": environment, ...Object.fromEntries(files) };
  expect(await compile(all, options)).toBe("");
});
