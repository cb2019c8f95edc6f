import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Server, startServer } from "../../api-tests/server.js";
import { createTodoClient, nextCursor, type Task, type TodoClient, unwrap } from "../src/index.js";
import { linkTarget } from "../src/pages.js";
import { type FaultyProxy, startProxy } from "./proxy.js";

const titles = Array.from({ length: 7 }, (_, n) => `Task ${n}`);

let server: Server;
let proxy: FaultyProxy;
let todo: TodoClient;

beforeAll(async () => {
  server = await startServer();
  const writer = createTodoClient({ baseUrl: server.url, token: await server.token("alice") });
  for (const title of titles) unwrap(await writer.createTask({ title, completed: title === "Task 3" }));
  return () => server.stop();
});
beforeEach(async () => {
  proxy = await startProxy(server.url);
  todo = createTodoClient({ baseUrl: proxy.url, token: await server.token("alice") });
  return () => proxy.stop();
});

async function collect(tasks: AsyncIterable<Task>): Promise<string[]> {
  const found = [];
  for await (const { title } of tasks) found.push(title);
  return found;
}

test("listAll goes through all pages of a query", async () => {
  expect(await collect(todo.listAll())).toEqual(titles.toReversed());
  expect(proxy.exchanges).toHaveLength(1);
  const pending = titles.filter((title) => title !== "Task 3");
  expect(await collect(todo.listAll({ status: "pending", sort: "title", limit: 2 }))).toEqual(pending);
  expect(proxy.exchanges).toHaveLength(4);
});

test("all operations and the pages of listAll stay below the prefix of a gateway", async () => {
  const gateway = await startProxy(server.url, "/todo");
  for (const baseUrl of [gateway.url, `${gateway.url}/`]) {
    const client = createTodoClient({ baseUrl, token: await server.token("bob") });
    for (const title of titles) unwrap(await client.createTask({ title }));
    expect(await collect(client.listAll({ limit: 2 }))).toEqual(titles.toReversed());
    for (const { id, title } of unwrap(await client.listTasks())) {
      expect(unwrap(await client.getTask(id)).title).toBe(title);
      unwrap(await client.deleteTask(id));
    }
  }
  expect(gateway.exchanges.filter(({ path }) => !/^\/todo\/api\/tasks\b/.test(path))).toEqual([]);
  await gateway.stop();
});

test("filters select tasks, and `total` is their number on all pages", async () => {
  const writer = createTodoClient({ baseUrl: server.url, token: await server.token("carol") });
  const due = (hour: number) => ({ due_date: `2026-12-01T${hour}:00:00+01:00` });
  for (const task of [
    { title: "Buy milk", tags: ["shop"], priority: "high" as const },
    { title: "BUY BREAD", description: "and oat milk", tags: ["shop", "a&b=c d"], ...due(10) },
    { title: "Call Zoë", priority: "high" as const, ...due(12) },
  ]) {
    unwrap(await writer.createTask(task));
  }
  for (const [query, found] of [
    [{ q: "MILK" }, ["Buy milk", "BUY BREAD"]],
    [{ tag: "shop", priority: "high" }, ["Buy milk"]],
    [{ tag: "a&b=c d" }, ["BUY BREAD"]],
    [{ q: "zoë", status: "completed" }, []],
    [{ due_after: due(10).due_date, due_before: due(12).due_date }, ["BUY BREAD"]],
  ] as const) {
    const page = await writer.listTasks({ ...query, order: "asc", limit: 1, count: true });
    expect(page.total).toBe(found.length);
    expect(await collect(writer.listAll({ ...query, order: "asc", limit: 1 }))).toEqual(found);
  }
  expect(await writer.listTasks({ q: "milk" })).toMatchObject({ status: 200, total: undefined });
  expect(await writer.listTasks({ q: "", count: true })).toMatchObject({ status: 422, total: undefined });
});

test("listAll goes on through short and empty pages", async () => {
  const dora = createTodoClient({ baseUrl: proxy.url, token: await server.token("dora") });
  // Newest first, and each request looks at 10,000 tasks.
  await server.addTasks(1, "dora", "An old needle");
  await server.addTasks(20_500, "dora", "hay");
  unwrap(await dora.createTask({ title: "A new needle" }));
  expect(await dora.listTasks({ q: "needle", count: true })).toMatchObject({ total: undefined });
  proxy.exchanges.length = 0;
  expect(await collect(dora.listAll({ q: "needle" }))).toEqual(["A new needle", "An old needle"]);
  expect(proxy.exchanges).toHaveLength(3);
});

test("listAll begins at the cursor of the query", async () => {
  const cursor = nextCursor(await todo.listTasks({ sort: "title", limit: 4 }));
  expect(await collect(todo.listAll({ sort: "title", limit: 2, cursor: cursor! }))).toEqual(titles.slice(4));
});

test.each([
  ["itself", {}, ["AQ", "AQ"]],
  ["an earlier page", {}, ["AQ", "AR", "AQ"]],
  ["the cursor of the query", { cursor: "AQ" }, ["AR", "AQ"]],
])("listAll ends at a page that leads to %s", async (_, query, cursors) => {
  for (const cursor of cursors) {
    proxy.faults.push((answer) => {
      const link = `</api/tasks?cursor=${cursor}>; rel="next"`;
      answer.writeHead(200, { "Content-Type": "application/json", Link: link }).end('[{"title":"Again"}]');
    });
  }
  expect(await collect(todo.listAll(query))).toEqual(cursors.map(() => "Again"));
  expect(proxy.exchanges).toHaveLength(cursors.length);
});

test("listAll fetches a page when its first task is needed", async () => {
  const tasks = todo.listAll({ limit: 3 });
  expect(proxy.exchanges).toHaveLength(0);
  for (const [task, requests] of [1, 1, 1, 2, 2, 2, 3].entries()) {
    expect(await tasks.next()).toMatchObject({ done: false, value: { title: titles.at(-1 - task) } });
    expect(proxy.exchanges).toHaveLength(requests);
  }
  expect(await tasks.next()).toEqual({ done: true, value: undefined });
  expect(proxy.exchanges).toHaveLength(3);
});

test("listAll stops when its signal is aborted", async () => {
  const controller = new AbortController();
  const tasks = todo.listAll({ limit: 3 }, { signal: controller.signal });
  await tasks.next();
  controller.abort(new Error("no longer needed"));
  await expect(tasks.next()).rejects.toThrow("no longer needed");
  expect(proxy.exchanges).toHaveLength(1);
});

test("listAll throws the error of a page", async () => {
  await expect(todo.listAll({ cursor: "garbled" }).next()).rejects.toMatchObject({
    code: "validation_failed",
    problem: { errors: [{ parameter: "cursor" }] },
  });
});

test("nextCursor is the cursor of the next page", async () => {
  const first = await todo.listTasks({ limit: 4 });
  const second = await todo.listTasks({ limit: 4, cursor: nextCursor(first)! });
  expect([...unwrap(first), ...unwrap(second)].map(({ title }) => title)).toEqual(titles.toReversed());
  expect(nextCursor(second)).toBeUndefined();
});

describe("the link to the next page", () => {
  test.each([
    ['</tasks?cursor=1>; rel="next"', "/tasks?cursor=1"],
    ["<http://localhost/tasks>;rel=next", "http://localhost/tasks"],
    ['</first>; rel="first", </tasks>; rel="next"', "/tasks"],
    ['</tasks>; title="a, b; rel=prev <c>"; REL = "prev NEXT", </other>; rel=next', "/tasks"],
    ['</other>; title="say \\"; rel=next, \\""; rel=prev , </tasks?a,b;c>; rel=next', "/tasks?a,b;c"],
    ["</tasks>; crossorigin; rel=next", "/tasks"],
    ["</other>; rel=prev; rel=next", undefined],
    ['</other>; rel="nextish"', undefined],
    ['</other>; title="next"', undefined],
    ["</other>", undefined],
    ["", undefined],
  ])("of %s is %s", (header, target) => {
    expect(linkTarget(header, "next")).toBe(target);
  });
});
