import { randomBytes } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Server, startServer } from "../../api-tests/server.js";
import { createTodoClient, type RetryOptions, type Task, type TodoClient, unwrap } from "../src/index.js";
import { type Fault, type FaultyProxy, startProxy } from "./proxy.js";

let server: Server;
let proxy: FaultyProxy;
let token: string;
let todo: TodoClient;

const secret = { BETTER_AUTH_SECRET: randomBytes(33).toString("base64") };

beforeAll(async () => {
  server = await startServer(secret);
  return () => server.stop();
});
beforeEach(async ({ task }) => {
  proxy = await startProxy(server.url);
  token = await server.token(task.id);
  todo = client({ baseDelay: 10 });
  return () => proxy.stop();
});

const client = (retry: RetryOptions, baseUrl = proxy.url) => createTodoClient({ baseUrl, token, retry });

/** The actual state, from the server itself. */
const tasks = async () => unwrap(await client({}, server.url).listTasks());

/** The milliseconds from the end of each exchange to the beginning of the next. */
const waits = () => proxy.exchanges.slice(1).map(({ began }, n) => began - proxy.exchanges[n]!.ended);

/** Timers may be a millisecond early. */
const EARLY = 2;

describe("a create", () => {
  test.each(["request lost", "answer lost", "answer cut"] as const)("whose %s makes one task", async (fault) => {
    proxy.faults.push(fault, fault);
    const created = await todo.createTask({ title: "Buy milk" });
    expect(await tasks()).toEqual([unwrap(created)]);
    expect(created.response.headers.get("Idempotency-Replayed")).toBe(fault === "request lost" ? null : "true");
    expect(proxy.exchanges).toHaveLength(3);
    expect(new Set(proxy.exchanges.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
  });
});

describe("where there is a task", () => {
  let task: Task;
  let etag: string;

  beforeEach(async () => {
    const created = await client({}, server.url).createTask({ title: "Buy milk" });
    task = unwrap(created);
    etag = created.etag!;
  });

  test.each(["request lost", "answer lost", "answer cut"] as const)("a read whose %s is repeated", async (fault) => {
    proxy.faults.push(fault);
    expect(unwrap(await todo.getTask(task.id))).toEqual(task);
    proxy.faults.push(fault);
    expect(unwrap(await todo.listTasks())).toEqual([task]);
    expect(proxy.exchanges).toHaveLength(4);
  });

  test.each(["request lost", "answer lost"] as const)("a change whose %s is repeated", async (fault) => {
    proxy.faults.push(fault);
    expect(await todo.updateTask(task.id, { title: "Buy oat milk" })).toMatchObject({ status: 200 });
    proxy.faults.push(fault);
    expect(await todo.completeTask(task.id, { completed: true })).toMatchObject({ status: 200 });
    expect(await tasks()).toMatchObject([{ title: "Buy oat milk", completed: true }]);
    expect(proxy.exchanges).toHaveLength(4);
  });

  test.each(["request lost", "answer lost"] as const)("a toggle whose %s is not repeated", async (fault) => {
    proxy.faults.push(fault);
    await expect(todo.completeTask(task.id)).rejects.toThrow(TypeError);
    expect(proxy.exchanges).toHaveLength(1);
    expect(await tasks()).toMatchObject([{ completed: fault === "answer lost" }]);
  });

  test("a repeated conditional change after a lost answer finds its own version", async () => {
    proxy.faults.push("request lost");
    const changed = await todo.updateTask(task.id, { title: "Buy oat milk" }, { ifMatch: etag });
    expect(changed).toMatchObject({ status: 200 });

    proxy.faults.push("answer lost");
    const again = await todo.updateTask(task.id, { title: "Buy soy milk" }, { ifMatch: changed.etag! });
    expect(again).toMatchObject({ status: 412, error: { code: "precondition_failed" } });
    expect(await tasks()).toMatchObject([{ title: "Buy soy milk" }]);
  });

  test("a repeated delete after a lost answer finds no task", async () => {
    proxy.faults.push("request lost", "answer lost");
    expect(await todo.deleteTask(task.id)).toMatchObject({ status: 404, error: { code: "task_not_found" } });
    expect(proxy.exchanges).toHaveLength(3);
    expect(await tasks()).toEqual([]);
  });
});

describe("waits", () => {
  beforeEach(() => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    proxy.faults.push(...Array.from({ length: 9 }, () => "request lost" as const));
    return () => vi.restoreAllMocks();
  });

  test("double", async () => {
    await expect(client({ attempts: 4, baseDelay: 40 }).listTasks()).rejects.toThrow(TypeError);
    expect(waits()).toHaveLength(3);
    for (const [n, wait] of waits().entries()) expect(wait).toBeGreaterThan(40 * 2 ** n - EARLY);
  });

  test("have a limit", async () => {
    await expect(client({ attempts: 7, baseDelay: 40, maxDelay: 50 }).listTasks()).rejects.toThrow(TypeError);
    expect(waits()).toHaveLength(6);
    expect(waits().at(-1)).toBeLessThan(40 * 2 ** 5);
  });
});

test("with one attempt nothing is repeated", async () => {
  proxy.faults.push("request lost");
  await expect(client({ attempts: 1 }).listTasks()).rejects.toThrow(TypeError);
  expect(proxy.exchanges).toHaveLength(1);
});

test("a signal ends the wait", async () => {
  const controller = new AbortController();
  const reason = new Error("no longer needed");
  proxy.faults.push((answer) => answer.writeHead(503, { "Retry-After": 9 }).end());
  const answer = todo.listTasks({}, { signal: controller.signal });
  await expect.poll(() => proxy.exchanges[0]?.ended).toBeGreaterThan(0);
  controller.abort(reason);
  await expect(answer).rejects.toBe(reason);
  expect(performance.now() - proxy.exchanges[0]!.ended).toBeLessThan(8000);
  expect(proxy.exchanges).toHaveLength(1);
});

test("Retry-After may be a date", async () => {
  proxy.faults.push((answer) => {
    answer.writeHead(503, { "Retry-After": new Date(Date.now() + 2000).toUTCString() }).end();
  });
  expect(await todo.listTasks()).toMatchObject({ status: 200 });
  // The date has no fraction of a second.
  expect(waits()[0]).toBeGreaterThan(1000 - EARLY);
});

describe("over a rate limit", () => {
  const refuse: Fault = (answer) => {
    const headers = { "Content-Type": "application/problem+json", "Retry-After": 1 };
    answer.writeHead(429, headers).end(JSON.stringify({ status: 429, code: "rate_limited" }));
  };

  test("a toggle is repeated after Retry-After", async () => {
    const { id } = unwrap(await client({}, server.url).createTask({ title: "Buy milk" }));
    proxy.faults.push(refuse);
    expect(await todo.completeTask(id)).toMatchObject({ status: 200, data: { completed: true } });
    expect(waits()[0]).toBeGreaterThan(1000 - EARLY);
    proxy.faults.push(refuse, "request lost");
    await expect(todo.completeTask(id)).rejects.toThrow(TypeError);
    expect(proxy.exchanges).toHaveLength(4);
  });

  test("with one attempt a 429 is returned", async () => {
    proxy.faults.push(refuse);
    expect(await client({ attempts: 1 }).listTasks()).toMatchObject({ status: 429, error: { code: "rate_limited" } });
  });

  test("many requests at once all succeed, and none is made twice", async () => {
    const limited = await startServer({ ...secret, RATE_LIMIT: "5" });
    onTestFinished(() => limited.stop());
    const many = client({}, limited.url);
    const { id } = unwrap(await many.createTask({ title: "Buy milk" }));
    const began = performance.now();
    const toggles = await Promise.all(Array.from({ length: 20 }, () => many.completeTask(id)));
    expect(toggles.map(({ status }) => status)).toEqual(toggles.map(() => 200));
    // Ten pass at once, and five more in each second.
    expect(performance.now() - began).toBeGreaterThan(2000 - EARLY);
    expect(await many.getTask(id)).toMatchObject({ etag: '"21"', data: { completed: false } });
  });
});

describe("while the database is away", () => {
  /** Waits more than a second for its database, and then answers 503. */
  let stranded: Server;

  beforeAll(async () => {
    stranded = await startServer({ ...secret, DATABASE_URL: "postgresql://todo@127.0.0.1:1/todo?sslmode=disable" });
    return () => stranded.stop();
  });

  test("a 503 is repeated after Retry-After", async () => {
    proxy.faults.push({ server: stranded.url });
    const created = await todo.createTask({ title: "Buy milk" });
    expect(await tasks()).toEqual([unwrap(created)]);
    expect(waits()[0]).toBeGreaterThan(1000 - EARLY);
  });

  test("a 503 to a toggle is returned", async () => {
    const answer = await client({}, stranded.url).completeTask("01900000-0000-7000-8000-000000000000");
    expect(answer).toMatchObject({ status: 503, error: { code: "unavailable" } });
  });

  test("a 503 is returned if Retry-After is longer than the longest wait", async () => {
    proxy.faults.push({ server: stranded.url });
    const answer = await client({ maxDelay: 999 }).listTasks();
    expect(answer).toMatchObject({ status: 503, error: { code: "unavailable" } });
    expect(proxy.exchanges).toHaveLength(1);
  });

  test("a create with a key in flight is repeated after Retry-After", async () => {
    const key = crypto.randomUUID();
    const post = () =>
      fetch(`${stranded.url}/api/tasks`, {
        method: "POST",
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", "Idempotency-Key": key },
        body: '{"title":"Buy milk"}',
      });
    // Of two, the second one is rejected at once. Then the first is in flight for another second.
    const [first, second] = [post(), post()];
    expect(await Promise.race([first, second])).toMatchObject({ status: 409 });

    proxy.faults.push({ server: stranded.url });
    const created = await todo.createTask({ title: "Buy milk" }, { idempotencyKey: key });
    expect(await tasks()).toEqual([unwrap(created)]);
    expect(proxy.exchanges).toHaveLength(2);
    expect(waits()[0]).toBeGreaterThan(1000 - EARLY);
    await Promise.all([first, second]);
  });
});
