import { expectTypeOf, test } from "vitest";
import { type Answer, createTodoClient, type operations, type Problem, type Task, unwrap } from "../src/index.js";

const todo = createTodoClient({ baseUrl: "http://localhost", token: "" });

test("every operation of the contract is a method", () => {
  expectTypeOf<Exclude<keyof operations, keyof typeof todo>>().toBeNever();
});

test("every field of a task is present, and null only if the contract allows it", () => {
  expectTypeOf<Task>().toEqualTypeOf<{
    id: string;
    title: string;
    description: string | null;
    completed: boolean;
    priority: "none" | "low" | "medium" | "high";
    tags: string[];
    due_date: string | null;
    user_id: string;
    created_at: string;
    updated_at: string;
  }>();
});

test("an answer is either data or an error", async () => {
  const { data, error } = await todo.listTasks();
  expectTypeOf(data).toEqualTypeOf<Task[] | undefined>();
  if (error) {
    expectTypeOf(error).toEqualTypeOf<Problem>();
    expectTypeOf(data).toBeUndefined();
  } else {
    expectTypeOf(data).toEqualTypeOf<Task[]>();
  }
  expectTypeOf(unwrap(await todo.listTasks())).toEqualTypeOf<Task[]>();
  expectTypeOf(unwrap(await todo.createTask({ title: "" }))).toEqualTypeOf<Task>();
  expectTypeOf(unwrap(await todo.deleteTask(""))).toBeUndefined();
});

test("only a list has a total", async () => {
  const list = await todo.listTasks({ count: true });
  expectTypeOf(list.total).toEqualTypeOf<number | undefined>();
  expectTypeOf((await todo.getTask("")).total).toEqualTypeOf<undefined>();
});

test("each operation has its own statuses", async () => {
  expectTypeOf<Answer<"listTasks">["status"]>().toEqualTypeOf<200 | 400 | 401 | 422 | 429 | 500 | 503>();
  expectTypeOf<Answer<"createTask">["status"]>().extract<201 | 204 | 404 | 409 | 412>().toEqualTypeOf<201 | 409>();
  expectTypeOf<Answer<"updateTask">["status"]>().extract<201 | 304 | 404 | 409 | 412>().toEqualTypeOf<404 | 412>();
  expectTypeOf<Answer<"deleteTask">["status"]>().extract<200 | 204 | 408 | 412>().toEqualTypeOf<204 | 412>();

  const answer = await todo.updateTask("", {});
  if (answer.status === 200) {
    expectTypeOf(answer.data).toEqualTypeOf<Task>();
    expectTypeOf(answer.etag).toEqualTypeOf<string>();
  } else {
    expectTypeOf(answer.error).toEqualTypeOf<Problem>();
  }
  // @ts-expect-error The contract has no such status.
  if (answer.status === 418) throw answer.error;
  // @ts-expect-error Nor such a code.
  if (answer.error?.code === "teapot") throw answer.error;
});

test("only a conditional read may answer 304", async () => {
  const read = await todo.getTask("");
  expectTypeOf(unwrap(read)).toEqualTypeOf<Task>();
  expectTypeOf(unwrap(await todo.getTask("", { signal: new AbortController().signal }))).toEqualTypeOf<Task>();
  expectTypeOf(unwrap(await todo.getTask("", { ifNoneMatch: read.etag }))).toEqualTypeOf<Task | undefined>();
});

test("a request accepts only what the contract declares", () => {
  expectTypeOf(todo.createTask).parameter(0).toEqualTypeOf<{
    title: string;
    description?: string | null;
    completed?: boolean;
    priority?: "none" | "low" | "medium" | "high";
    tags?: string[];
    due_date?: string | null;
  }>();
  // @ts-expect-error A title is required.
  void todo.createTask({});
  // @ts-expect-error A title cannot be cleared.
  void todo.updateTask("", { title: null });
  // @ts-expect-error A typing error, beside a correct field.
  void todo.createTask({ title: "", descriptoin: "" });
  // @ts-expect-error
  void todo.listTasks({ limit: 1, stauts: "pending" });
  // @ts-expect-error
  void todo.listTasks({ status: "done" });
  // @ts-expect-error
  void todo.listTasks({ priority: "urgent" });
  // @ts-expect-error It would count again for every page, and return no count.
  void todo.listAll({ count: true });
  // @ts-expect-error A read has no If-Match.
  void todo.getTask("", { ifMatch: '"1"' });
});

test("a condition is a tag, or left out", () => {
  const tag = "" as string | undefined;
  void todo.updateTask("", {}, tag ? { ifMatch: tag } : {});
  void todo.updateTask("", {}, tag ? { ifMatch: tag } : undefined);
  void todo.updateTask("", {}, { ifMatch: "" });
  void todo.updateTask("", {}, { ifMatch: "", signal: new AbortController().signal });
  void todo.updateTask("", {}, { signal: new AbortController().signal });
  // @ts-expect-error
  void todo.updateTask("", {}, { ifMatch: undefined });
  // @ts-expect-error
  void todo.completeTask("", {}, { ifMatch: tag });
  // @ts-expect-error
  void todo.deleteTask("", { ifMatch: null });
});
