import { beforeAll, beforeEach, expect, test } from "vitest";
import { type Server, startServer } from "../../api-tests/server.js";
import { createTodoClient, type Token, unwrap } from "../src/index.js";
import { type FaultyProxy, startProxy } from "./proxy.js";

/** The API accepts a token for 30 seconds after its end. */
const EXPIRED = -31;

let server: Server;
let proxy: FaultyProxy;
let user: string;

beforeAll(async () => {
  server = await startServer();
  return () => server.stop();
});
beforeEach(async ({ task }) => {
  user = task.id;
  proxy = await startProxy(server.url);
  return () => proxy.stop();
});

/** A client with these tokens, one after the other. It records the requests for them. */
function client(...tokens: (() => string | Promise<string>)[]) {
  const reasons: boolean[] = [];
  const token: Token = ({ refresh }) => {
    const next = tokens[Math.min(reasons.length, tokens.length - 1)]!;
    reasons.push(refresh);
    return next();
  };
  return { reasons, todo: createTodoClient({ baseUrl: proxy.url, token }) };
}

const valid = () => server.token(user);
const expired = () => server.token(user, EXPIRED);
const forged = async () => `${(await valid()).slice(0, -8)}AAAAAAAA`;

test("a token is requested once and cached", async () => {
  const { todo, reasons } = client(valid);
  await Promise.all([todo.listTasks(), todo.listTasks()]);
  expect(await todo.listTasks()).toMatchObject({ status: 200 });
  expect(reasons).toEqual([false]);
});

test.each([
  ["expired", expired, "token_expired"],
  ["not valid", forged, "token_invalid"],
])("a token that is %s is replaced, and the request repeated", async (_, refused, code) => {
  const { todo, reasons } = client(refused, valid);
  expect(await todo.createTask({ title: "Buy milk" })).toMatchObject({ status: 201, data: { title: "Buy milk" } });
  expect(unwrap(await todo.listTasks())).toHaveLength(1);
  expect(reasons).toEqual([false, true]);
  expect(proxy.exchanges).toHaveLength(3);

  const lasting = createTodoClient({ baseUrl: proxy.url, token: await refused() });
  expect(await lasting.listTasks()).toMatchObject({ status: 401, error: { code } });
  expect(proxy.exchanges).toHaveLength(4);
});

test("a toggle is repeated after a 401, because it changed nothing", async () => {
  const { id } = unwrap(await client(valid).todo.createTask({ title: "Buy milk" }));
  expect(await client(expired, valid).todo.completeTask(id)).toMatchObject({ data: { completed: true } });
});

test("a new token that is rejected, too, is not replaced", async () => {
  const { todo, reasons } = client(expired, expired, valid);
  expect(await todo.listTasks()).toMatchObject({ status: 401, error: { code: "token_expired" } });
  expect(reasons).toEqual([false, true]);
  expect(await todo.listTasks()).toMatchObject({ status: 200 });
  expect(reasons).toEqual([false, true, true]);
});

test("a missing token is not requested again", async () => {
  const { todo, reasons } = client(() => "");
  expect(await todo.listTasks()).toMatchObject({ status: 401, error: { code: "token_missing" } });
  expect(reasons).toEqual([false]);
});

test("requests that are rejected together share one new token", async () => {
  const { todo, reasons } = client(expired, valid);
  const answers = await Promise.all(Array.from({ length: 20 }, () => todo.listTasks()));
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
  expect(reasons).toEqual([false, true]);
});

test("a late rejection uses the existing new token", async () => {
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  const { todo, reasons } = client(expired, valid);
  proxy.faults.push((answer) => {
    const refusal = { "Content-Type": "application/problem+json" };
    void released.then(() => answer.writeHead(401, refusal).end('{"code":"token_expired"}'));
  });
  const late = todo.listTasks();
  await expect.poll(() => proxy.exchanges.length).toBe(1);
  expect(await todo.listTasks()).toMatchObject({ status: 200 });
  release();
  expect(await late).toMatchObject({ status: 200 });
  expect(reasons).toEqual([false, true]);
});

test("a failure to get a token is thrown, and the next request tries again", async () => {
  const fail = () => {
    throw new Error("not signed in");
  };
  const { todo, reasons } = client(fail, expired, () => Promise.reject(new Error("signed out")), valid);
  await expect(todo.listTasks()).rejects.toThrow("not signed in");
  await expect(todo.listTasks()).rejects.toThrow("signed out");
  expect(await todo.listTasks()).toMatchObject({ status: 200 });
  expect(reasons).toEqual([false, false, true, false]);
});
