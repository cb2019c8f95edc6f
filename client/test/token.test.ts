import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Server, startServer } from "../../api-tests/server.js";
import { createTodoClient, TodoTokenError, type Token, unwrap } from "../src/index.js";
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
  return { reasons, todo: createTodoClient({ baseUrl: proxy.url, userId: user, token }) };
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

test.each(["", undefined, null])("%j is no token: it is not sent, and the next request asks again", async (nothing) => {
  const { todo, reasons } = client(() => nothing as string, valid);
  const failure = todo.listTasks();
  await expect(failure).rejects.toThrow(TodoTokenError);
  await expect(failure).rejects.toThrow("`token` returned no token");
  expect(proxy.exchanges).toEqual([]);
  expect(await todo.listTasks()).toMatchObject({ status: 200 });
  expect(reasons).toEqual([false, false]);
});

test("without a token there is no client", () => {
  for (const token of ["", undefined, null] as string[])
    expect(() => createTodoClient({ baseUrl: proxy.url, token })).toThrow("`token` must be");
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

describe("a client for one user", () => {
  test("is not made without the user, so that none is shared by all who sign in", () => {
    // @ts-expect-error The types say so, too.
    const create = () => createTodoClient({ baseUrl: proxy.url, token: valid });
    expect(create).toThrow("`userId` is required");
  });

  test("does not send the first token of another", async () => {
    const { todo, reasons } = client(() => server.token("another"), valid);
    const failure = todo.createTask({ title: "Buy milk" });
    await expect(failure).rejects.toThrow(TodoTokenError);
    await expect(failure).rejects.toThrow("create a new client for each user");
    expect(proxy.exchanges).toEqual([]);
    expect(await todo.listTasks()).toMatchObject({ status: 200 });
    expect(reasons).toEqual([false, false]);
  });

  test("does not send a later token of another", async () => {
    const { todo } = client(valid, () => server.token("another"));
    const { id } = unwrap(await todo.createTask({ title: "Buy milk" }));
    proxy.faults.push((answer) => {
      answer.writeHead(401, { "Content-Type": "application/problem+json" }).end('{"code":"token_expired"}');
    });
    await expect(todo.deleteTask(id)).rejects.toThrow(TodoTokenError);
    expect(proxy.exchanges).toHaveLength(2);
  });

  test("does not send a lasting token of another", async () => {
    const token = await server.token("another");
    expect(() => createTodoClient({ baseUrl: proxy.url, userId: user, token })).toThrow(TodoTokenError);
  });

  test("knows the user by any name", async () => {
    // Its base64url has all the letters that base64 has not.
    const name = "Zoë 🦊 ??>>~~ ÿÿÿ";
    const todo = createTodoClient({ baseUrl: proxy.url, userId: name, token: () => server.token(name) });
    expect(unwrap(await todo.createTask({ title: "Buy milk" }))).toMatchObject({ user_id: name });
  });

  test.each(["garbled", "a.b.c", "..", "e30.bnVsbA.e30"])("leaves it to the API to refuse %s", async (token) => {
    const { todo } = client(() => token);
    expect(await todo.listTasks()).toMatchObject({ status: 401, error: { code: "token_invalid" } });
  });

  test("forgets the token when the user signs out", async () => {
    const signedOut = () => Promise.reject(new Error("signed out"));
    const { todo, reasons } = client(valid, signedOut, () => server.token("another"), valid);
    expect(await todo.listTasks()).toMatchObject({ status: 200 });
    todo.forgetToken();
    await expect(todo.listTasks()).rejects.toThrow("signed out");
    await expect(todo.listTasks()).rejects.toThrow(TodoTokenError);
    expect(proxy.exchanges).toHaveLength(1);
    expect(await todo.listTasks()).toMatchObject({ status: 200 });
    expect(reasons).toEqual([false, false, false, false]);
  });

  test("does not keep a token that was asked for before the user signed out", async () => {
    let release = (_: string) => {};
    const { todo, reasons } = client(() => new Promise((resolve) => (release = resolve)), valid);
    const early = todo.listTasks();
    await expect.poll(() => reasons).toEqual([false]);
    todo.forgetToken();
    release(await valid());
    expect(await early).toMatchObject({ status: 200 });
    expect(await todo.listTasks()).toMatchObject({ status: 200 });
    expect(reasons).toEqual([false, false]);
  });
});
