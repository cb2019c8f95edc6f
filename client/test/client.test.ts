import { beforeAll, beforeEach, expect, test } from "vitest";
import { type Server, startServer } from "../../api-tests/server.js";
import { createTodoClient, TodoApiError, type TodoClient, unwrap } from "../src/index.js";
import { type FaultyProxy, startProxy } from "./proxy.js";

let server: Server;
let proxy: FaultyProxy;
let todo: TodoClient;

beforeAll(async () => {
  server = await startServer();
  return () => server.stop();
});
beforeEach(async ({ task }) => {
  proxy = await startProxy(server.url);
  todo = createTodoClient({ baseUrl: proxy.url, token: await server.token(task.id) });
  return () => proxy.stop();
});

test("a task is created, read, changed, completed, listed and deleted", async () => {
  const task = unwrap(await todo.createTask({ title: "Buy milk", due_date: "2026-12-01T09:00:00+01:00" }));
  expect(task).toMatchObject({ title: "Buy milk", description: null, due_date: "2026-12-01T08:00:00Z" });
  expect(unwrap(await todo.getTask(task.id))).toEqual(task);

  const changed = unwrap(await todo.updateTask(task.id, { description: "Two litres", due_date: null }));
  expect(changed).toMatchObject({ title: "Buy milk", description: "Two litres", due_date: null });
  expect(unwrap(await todo.completeTask(task.id))).toMatchObject({ completed: true });
  expect(unwrap(await todo.completeTask(task.id))).toMatchObject({ completed: false });
  expect(unwrap(await todo.completeTask(task.id, { completed: false }))).toMatchObject({ completed: false });
  expect(unwrap(await todo.listTasks({ status: "pending" }))).toHaveLength(1);
  expect(unwrap(await todo.listTasks({ status: "completed" }))).toEqual([]);

  const deleted = await todo.deleteTask(task.id);
  expect(deleted).toMatchObject({ status: 204, data: undefined, error: undefined });
  expect(unwrap(await todo.listTasks())).toEqual([]);
});

test("an error has its code, and a 422 has all violations", async () => {
  const absent = await todo.getTask("01900000-0000-7000-8000-000000000000");
  expect(absent).toMatchObject({ status: 404, data: undefined, error: { code: "task_not_found" } });

  const { error, response } = await todo.createTask({ title: " ", description: "x".repeat(1001) });
  expect(error).toMatchObject({ code: "validation_failed", instance: response.headers.get("X-Request-Id") });
  expect(error?.errors?.map(({ pointer }) => pointer).sort()).toEqual(["/description", "/title"]);
});

test("unwrap throws the error of an answer", async () => {
  const absent = await todo.getTask("01900000-0000-7000-8000-000000000000");
  expect(() => unwrap(absent)).toThrow(TodoApiError);
  expect(() => unwrap(absent)).toThrow(
    expect.objectContaining({ code: "task_not_found", problem: absent.error, response: absent.response }),
  );
  expect(() => unwrap(absent)).toThrow(expect.objectContaining({ message: absent.error?.detail }));
});

test("an error that is not from the API is thrown", async () => {
  proxy.faults.push((answer) => answer.writeHead(502, { "Content-Type": "text/html" }).end("<h1>Bad Gateway</h1>"));
  proxy.faults.push((answer) => answer.writeHead(400, { "Content-Length": 0 }).end());
  for (const status of [502, 400]) {
    await expect(todo.listTasks()).rejects.toThrow(
      expect.objectContaining({
        name: "TodoApiError",
        message: `The response with the status ${status} is not from the API.`,
        code: undefined,
        response: expect.objectContaining({ status }),
      }),
    );
  }
});

test("If-Match prevents a change from overwriting another", async () => {
  const created = await todo.createTask({ title: "Buy milk" });
  const { id } = unwrap(created);
  const ifMatch = created.etag!;

  const first = await todo.updateTask(id, { title: "Buy oat milk" }, { ifMatch });
  expect(first).toMatchObject({ status: 200, etag: expect.not.stringMatching(ifMatch) });
  const refused = { status: 412, error: { code: "precondition_failed" } };
  expect(await todo.updateTask(id, { title: "Buy soy milk" }, { ifMatch })).toMatchObject(refused);
  expect(await todo.completeTask(id, { completed: true }, { ifMatch })).toMatchObject(refused);
  expect(await todo.completeTask(id, undefined, { ifMatch })).toMatchObject(refused);
  expect(await todo.deleteTask(id, { ifMatch })).toMatchObject(refused);

  const read = await todo.getTask(id);
  expect(read).toMatchObject({ data: { title: "Buy oat milk", completed: false }, etag: first.etag });
  expect(await todo.deleteTask(id, { ifMatch: read.etag! })).toMatchObject({ status: 204 });
});

test.each([undefined, null, ""])("%j as ifMatch is an error, not a change of any version", async (nothing) => {
  const { id } = unwrap(await todo.createTask({ title: "Buy milk" }));
  const options = { ifMatch: nothing as string };
  const changes = [
    todo.updateTask(id, { title: "Buy oat milk" }, options),
    todo.completeTask(id, undefined, options),
    todo.deleteTask(id, options),
  ];
  for (const change of await Promise.allSettled(changes)) {
    expect(change).toMatchObject({ status: "rejected", reason: expect.any(TypeError) });
    expect(change).toHaveProperty("reason.message", expect.stringMatching("`ifMatch`.*leave it out"));
  }
  expect(proxy.exchanges).toHaveLength(1);
  // Nothing but a tag of its own changes what a call without `ifMatch` does.
  expect(await todo.updateTask(id, { title: "Buy oat milk" }, {})).toMatchObject({ status: 200 });
  expect(await todo.deleteTask(id, undefined)).toMatchObject({ status: 204 });
});

test("an ETag that a gateway has weakened keeps a change from overwriting another, too", async () => {
  const created = await todo.createTask({ title: "Buy milk" });
  const { id } = unwrap(created);
  proxy.faults.push((answer) => {
    answer.writeHead(200, { "Content-Type": "application/json", ETag: `W/${created.etag}` });
    answer.end(JSON.stringify(created.data));
  });
  const { etag } = await todo.getTask(id);
  expect(etag).toBe(`W/${created.etag}`);

  expect(await todo.getTask(id, { ifNoneMatch: etag })).toMatchObject({ status: 304 });
  expect(await todo.completeTask(id, undefined, { ifMatch: etag! })).toMatchObject({ status: 200 });
  const refused = { status: 412, error: { code: "precondition_failed" } };
  expect(await todo.updateTask(id, { title: "Buy oat milk" }, { ifMatch: etag! })).toMatchObject(refused);
  expect(await todo.deleteTask(id, { ifMatch: etag! })).toMatchObject(refused);
  expect(await todo.deleteTask(id, { ifMatch: "*" })).toMatchObject({ status: 204 });
});

test("If-None-Match reads a task again only where it has changed", async () => {
  const { id } = unwrap(await todo.createTask({ title: "Buy milk" }));
  const first = await todo.getTask(id, { ifNoneMatch: undefined });
  expect(first.status).toBe(200);

  const second = await todo.getTask(id, { ifNoneMatch: first.etag });
  expect(second).toMatchObject({ status: 304, data: undefined, error: undefined, etag: first.etag });
  expect(unwrap(second)).toBeUndefined();

  unwrap(await todo.completeTask(id, { completed: true }));
  const third = await todo.getTask(id, { ifNoneMatch: first.etag });
  expect(third).toMatchObject({ status: 200, data: { completed: true } });
});

test("each create has a new key, or the caller's", async () => {
  await todo.createTask({ title: "Buy milk" });
  await todo.createTask({ title: "Buy milk" });
  const key = crypto.randomUUID();
  const [first, again, other] = [
    await todo.createTask({ title: "Buy bread" }, { idempotencyKey: key }),
    await todo.createTask({ title: "Buy bread" }, { idempotencyKey: key }),
    await todo.createTask({ title: "Buy beer" }, { idempotencyKey: key }),
  ];
  expect(unwrap(again)).toEqual(unwrap(first));
  expect(again.response.headers.get("Idempotency-Replayed")).toBe("true");
  expect(other).toMatchObject({ status: 422, error: { code: "idempotency_key_reused" } });

  const titles = unwrap(await todo.listTasks({ sort: "title" })).map(({ title }) => title);
  expect(titles).toEqual(["Buy bread", "Buy milk", "Buy milk"]);
  const creates = proxy.exchanges.filter(({ method }) => method === "POST");
  const keys = creates.map(({ headers }) => headers["idempotency-key"]);
  expect(new Set(keys).size).toBe(3);
  expect(keys.slice(2)).toEqual([key, key, key]);
});
