import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Accepted, check, compare } from "./check.js";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** The current document. */
// biome-ignore lint/suspicious/noExplicitAny: an edit that misses throws, or changes nothing, and either fails its test.
type Api = any;
type Edit = (api: Api) => void;

const run = promisify(execFile);
const openapi = fileURLToPath(new URL("../openapi.yaml", import.meta.url));

let folder: string;
let original: string;
let api: Api;
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "contract-"));
  original = join(folder, "openapi.json");
  const redocly = createRequire(import.meta.url).resolve("@redocly/cli/bin/cli.js");
  await run(process.execPath, [redocly, "bundle", openapi, "--output", original]);
  api = JSON.parse(await readFile(original, "utf8"));
});

afterAll(() => rm(folder, { recursive: true }));

async function edited(...edits: Edit[]): Promise<string> {
  const copy = structuredClone(api);
  for (const edit of edits) edit(copy);
  expect(copy).not.toEqual(api);
  const file = join(folder, `${files++}.json`);
  await writeFile(file, JSON.stringify(copy));
  return file;
}

const schema = (api: Api, name: string) => api.components.schemas[name];
const tasks = (api: Api) => api.paths["/api/tasks"];
const task = (api: Api) => api.paths["/api/tasks/{id}"];
const completion = (api: Api) => api.paths["/api/tasks/{id}/complete"].patch;
const parameter = (operation: Api, name: string) => operation.parameters.find((each: Api) => each.name === name);
const remove = (list: Api[], item: Api) => list.splice(list.indexOf(item), 1);

const lowerLength: Edit = (api) => (schema(api, "TaskCreate").properties.description.maxLength = 500);
const lowered = {
  rule: "schema-constraint-changed",
  pointer: "#/components/schemas/TaskCreate/properties/description/maxLength",
  message: "`maxLength` of `description` changed from '1000' to '500'.",
};

const SCHEMAS = "#/components/schemas";
const TASKS = "#/paths/~1api~1tasks";
const TASK = "#/paths/~1api~1tasks~1{id}";

test.concurrent.for<[what: string, edit: Edit, ...findings: string[]]>([
  [
    "a response field is removed",
    (api) => {
      delete schema(api, "TaskResponse").properties.completed;
      remove(schema(api, "TaskResponse").required, "completed");
    },
    `required-properties-removed ${SCHEMAS}/TaskResponse/required`,
    `property-removed ${SCHEMAS}/TaskResponse/properties/completed`,
  ],
  [
    "an optional response field is removed",
    (api) => delete schema(api, "Problem").properties.errors,
    `property-removed ${SCHEMAS}/Problem/properties/errors`,
  ],
  [
    "a response field is no longer always there",
    (api) => remove(schema(api, "TaskResponse").required, "due_date"),
    `required-properties-removed ${SCHEMAS}/TaskResponse/required`,
  ],
  ["an operation is removed", (api) => delete task(api).delete, `operation-removed ${TASK}/delete`],
  ["a path is removed", (api) => delete api.paths["/api/tasks/{id}/complete"], `path-removed ${TASK}~1complete`],
  [
    "an operation has another id",
    (api) => (tasks(api).get.operationId = "tasks"),
    `operation-id-changed ${TASKS}/get/operationId`,
  ],
  ["a status is removed", (api) => delete task(api).get.responses["304"], `response-removed ${TASK}/get/responses/304`],
  [
    "a status is another",
    (api) => {
      tasks(api).post.responses["200"] = tasks(api).post.responses["201"];
      delete tasks(api).post.responses["201"];
    },
    `response-removed ${TASKS}/post/responses/200`,
  ],
  [
    "a required request field is added",
    (api) => {
      schema(api, "TaskCreate").properties.estimate = { type: "integer" };
      schema(api, "TaskCreate").required.push("estimate");
    },
    `required-properties-added ${SCHEMAS}/TaskCreate/required`,
  ],
  [
    "a request field becomes required",
    (api) => schema(api, "TaskCreate").required.push("completed"),
    `required-properties-added ${SCHEMAS}/TaskCreate/required`,
  ],
  [
    "a request field is removed, and refused from then on",
    (api) => delete schema(api, "TaskUpdate").properties.due_date,
    `property-removed ${SCHEMAS}/TaskUpdate/properties/due_date`,
  ],
  [
    "a required parameter is added",
    (api) => tasks(api).get.parameters.push({ name: "list", in: "query", required: true, schema: { type: "string" } }),
    `parameter-became-required ${TASKS}/get/parameters/11/required`,
  ],
  [
    "a parameter is removed",
    (api) => remove(tasks(api).get.parameters, parameter(tasks(api).get, "order")),
    `parameter-removed ${TASKS}/get/parameters/2`,
  ],
  [
    "a request header becomes required",
    (api) => (parameter(tasks(api).post, "Idempotency-Key").required = true),
    `parameter-became-required ${TASKS}/post/parameters/0/required`,
  ],
  [
    "a body becomes required",
    (api) => (completion(api).requestBody.required = true),
    `request-body-became-required ${TASK}~1complete/patch/requestBody/required`,
  ],
  [
    "a request enum is narrowed",
    (api) => remove(schema(api, "TaskStatus").enum, "pending"),
    `enum-values-removed ${SCHEMAS}/TaskStatus/enum`,
  ],
  [
    "a response enum is widened, which a client may tell apart to the last",
    (api) => schema(api, "ProblemCode").enum.push("task_locked"),
    `enum-values-added ${SCHEMAS}/ProblemCode/enum`,
  ],
  [
    "a response field has another type",
    (api) => (schema(api, "TaskResponse").properties.completed.type = "string"),
    `schema-type-changed ${SCHEMAS}/TaskResponse/properties/completed/type`,
  ],
  [
    "a request field has another type",
    (api) => (schema(api, "TaskCreate").properties.completed.type = "string"),
    `schema-type-changed ${SCHEMAS}/TaskCreate/properties/completed/type`,
  ],
  [
    "a response field becomes nullable",
    (api) => (schema(api, "TaskResponse").properties.title.type = ["string", "null"]),
    `schema-type-changed ${SCHEMAS}/TaskResponse/properties/title/type`,
  ],
  [
    "a request field is no longer nullable",
    (api) => (schema(api, "TaskUpdate").properties.description.type = "string"),
    `schema-type-changed ${SCHEMAS}/TaskUpdate/properties/description/type`,
  ],
  ["a maxLength is lowered", lowerLength, `${lowered.rule} ${lowered.pointer}`],
  [
    "the maximum of a parameter is lowered",
    (api) => (parameter(tasks(api).get, "limit").schema.maximum = 100),
    `schema-constraint-changed ${TASKS}/get/parameters/3/schema/maximum`,
  ],
  [
    "a pattern is another",
    (api) => (schema(api, "TaskCreate").properties.title.pattern = "^[a-z]+$"),
    `schema-constraint-changed ${SCHEMAS}/TaskCreate/properties/title/pattern`,
  ],
  [
    "the default of a parameter is another",
    (api) => (parameter(tasks(api).get, "limit").schema.default = 50),
    `default-changed ${TASKS}/get/parameters/3/schema/default`,
  ],
  [
    "the default of a schema that a parameter refers to is another",
    (api) => (schema(api, "TaskStatus").default = "pending"),
    `default-changed ${SCHEMAS}/TaskStatus/default`,
  ],
  [
    "the default of a field is removed",
    (api) => delete schema(api, "TaskCreate").properties.completed.default,
    `default-changed ${SCHEMAS}/TaskCreate/properties/completed`,
  ],
  [
    "a response header is removed",
    (api) => delete tasks(api).post.responses["201"].headers.ETag,
    `response-header-removed ${TASKS}/post/responses/201/headers/ETag`,
  ],
  [
    "a response header is no longer always there",
    (api) => delete api.components.headers["X-Request-Id"].required,
    "response-header-became-optional #/components/headers/X-Request-Id",
  ],
  [
    "a media type is removed",
    (api) => delete api.components.responses.NotFound.content["application/problem+json"],
    "media-type-removed #/components/responses/NotFound/content/application~1problem+json",
  ],
  [
    "a security requirement is added",
    (api) => {
      api.components.securitySchemes.key = { type: "apiKey", in: "header", name: "X-Key" };
      task(api).get.security = [{ bearer: [], key: [] }];
    },
    `security-requirement-changed ${TASK}/get/security/0/key`,
  ],
])("breaks: %s", async ([, edit, ...findings]) => {
  const { breakages } = await compare(original, await edited(edit));
  expect(breakages.map(({ rule, pointer }) => `${rule} ${pointer}`)).toEqual(findings);
});

test.concurrent.for<[what: string, edit: Edit]>([
  [
    "an optional request field is added",
    (api) => (schema(api, "TaskCreate").properties.estimate = { type: "integer" }),
  ],
  ["a response field is added", (api) => (schema(api, "TaskResponse").properties.estimate = { type: "integer" })],
  [
    "a response field that is always there is added",
    (api) => {
      schema(api, "TaskResponse").properties.estimate = { type: "integer" };
      schema(api, "TaskResponse").required.push("estimate");
    },
  ],
  [
    "an operation is added",
    (api) => (api.paths["/api/tags"] = { get: { ...tasks(api).get, operationId: "listTags" } }),
  ],
  [
    "an optional parameter is added",
    (api) => tasks(api).get.parameters.push({ name: "search", in: "query", schema: { type: "string" } }),
  ],
  [
    "a response header is added",
    (api) => (tasks(api).get.responses["200"].headers.ETag = { schema: { type: "string" } }),
  ],
  ["a status is added", (api) => (tasks(api).get.responses["410"] = { description: "The tasks are gone." })],
  ["a request enum is widened", (api) => schema(api, "TaskSort").enum.push("updated_at")],
  ["a response enum is narrowed", (api) => remove(schema(api, "ProblemCode").enum, "request_timeout")],
  ["a maxLength is raised", (api) => (schema(api, "TaskCreate").properties.description.maxLength = 2000)],
  ["the maximum of a parameter is raised", (api) => (parameter(tasks(api).get, "limit").schema.maximum = 1000)],
  ["the length of a response is lowered", (api) => (schema(api, "TaskResponse").properties.title.maxLength = 100)],
  ["a request field becomes nullable", (api) => (schema(api, "TaskUpdate").properties.title.type = ["string", "null"])],
  ["a body becomes optional", (api) => (task(api).put.requestBody.required = false)],
  ["a default is given where there was none", (api) => (schema(api, "SortOrder").default = "asc")],
  [
    "descriptions and examples are others",
    (api) => {
      api.info.description = "Tasks.";
      tasks(api).get.summary = "Tasks";
      tasks(api).post.responses["201"].description = "Created.";
      schema(api, "TaskResponse").properties.title.description = "The title.";
      schema(api, "TaskResponse").examples = [];
      api.components.headers.Vary.example = "Accept";
    },
  ],
  [
    "a component has another name",
    (api) => {
      const { paths, components } = JSON.parse(JSON.stringify(api).replaceAll("TaskResponse", "Task"));
      Object.assign(api, { paths, components });
    },
  ],
  ["parameters are in another order", (api) => tasks(api).get.parameters.reverse()],
])("passes: %s", async ([, edit]) => {
  const { breakages } = await compare(original, await edited(edit));
  expect(breakages).toEqual([]);
});

/** A folder with releases (the current document with other versions) and accepted breakages. */
async function contract(versions: string[], accepted: Accepted[] = []): Promise<string> {
  const releases = join(folder, `${files++}`);
  await mkdir(releases);
  for (const version of versions) {
    await writeFile(join(releases, `${version}.yaml`), JSON.stringify({ ...api, info: { ...api.info, version } }));
  }
  await writeFile(join(releases, "accepted.json"), JSON.stringify(accepted));
  return releases;
}

const setVersion = (version: string) => (api: Api) => (api.info.version = version);
const addField: Edit = (api) => (schema(api, "TaskResponse").properties.estimate = { type: "integer" });
const reword: Edit = (api) => (api.info.description = "Tasks.");

test.concurrent("a breakage with a reason is accepted, and no other", async () => {
  const releases = await contract([api.info.version], [{ ...lowered, reason: "Nobody writes more." }]);
  expect((await check(releases, await edited(lowerLength))).errors).toEqual([]);
  const further: Edit = (api) => (schema(api, "TaskCreate").properties.description.maxLength = 400);
  expect((await check(releases, await edited(further))).errors).toEqual([
    expect.stringContaining("from '1000' to '400'"),
    expect.stringMatching(/accepts what is not so.*from '1000' to '500'/),
  ]);
});

test.concurrent("a breakage without a reason is not accepted", async () => {
  const releases = await contract([api.info.version], [{ ...lowered, reason: " " }]);
  expect((await check(releases, await edited(lowerLength))).errors).toEqual([
    expect.stringContaining("gives no reason"),
  ]);
});

test.concurrent("the newest release counts, by number", async () => {
  const releases = await contract(["0.9.0", "0.10.0"]);
  const { errors } = await check(releases, await edited(setVersion("0.10.0"), lowerLength));
  expect(errors).toEqual([expect.stringContaining(lowered.message)]);
  expect((await check(releases, await edited(setVersion("0.9.9"), reword))).errors).toEqual([
    "The version went from 0.10.0 to 0.9.9, but the changes need 0.10.1 or later.",
  ]);
});

test.concurrent.for<[released: string, current: string, edit: Edit, lowest?: string]>([
  ["0.1.0", "0.1.0", lowerLength],
  ["0.1.0", "0.1.1", lowerLength, "0.2.0"],
  ["0.1.0", "0.2.0", lowerLength],
  ["0.1.0", "0.1.1", addField, "0.2.0"],
  ["0.1.0", "0.1.1", reword],
  ["1.2.3", "1.3.0", lowerLength, "2.0.0"],
  ["1.2.3", "2.0.0", lowerLength],
  ["1.2.3", "1.2.4", addField, "1.3.0"],
  ["1.2.3", "1.10.0", addField],
  ["1.2.3", "1.2.4", reword],
])("a version says what has changed: %s to %s", async ([released, current, edit, lowest]) => {
  const accepted = edit === lowerLength ? [{ ...lowered, reason: "Nobody writes more." }] : [];
  const { errors } = await check(await contract([released], accepted), await edited(setVersion(current), edit));
  const message = `The version went from ${released} to ${current}, but the changes need ${lowest} or later.`;
  expect(errors).toEqual(lowest === undefined ? [] : [message]);
});

test.concurrent("a release is not changed after the fact", async () => {
  const releases = await contract([]);
  await writeFile(join(releases, "9.9.9.yaml"), JSON.stringify(api));
  const { errors } = await check(releases, await edited(setVersion("9.9.9")));
  expect(errors).toEqual([`9.9.9.yaml calls itself ${api.info.version}: a release is never changed.`]);
});

test.concurrent("the command names what breaks and where, says what to do, and fails", async () => {
  const command = fileURLToPath(new URL("check.js", import.meta.url));
  const releases = await contract([api.info.version]);
  const { stdout } = await run(process.execPath, [command, releases, await edited(addField)]);
  expect(stdout).toContain("0 breaking");
  const failure = run(process.execPath, [command, releases, await edited(lowerLength)]);
  await expect(failure).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining(lowered.pointer) });
  await expect(failure).rejects.toMatchObject({ stdout: expect.stringContaining("accepted.json, with a reason") });
  const dangling = await edited((api) => (schema(api, "Problem").properties.code.$ref = "#/components/schemas/None"));
  await expect(run(process.execPath, [command, releases, dangling])).rejects.toMatchObject({ code: 1 });
});
