import createClient from "openapi-fetch";
import { type Answer, answer, unwrap } from "./answer.js";
import { nextCursor } from "./pages.js";
import { type RetryOptions, withRetries } from "./retry.js";
import type { components, operations, paths } from "./schema.js";
import { type Fetch, type Token, withToken } from "./token.js";

export { type Answer, type Problem, type ProblemCode, TodoApiError, unwrap } from "./answer.js";
export { nextCursor } from "./pages.js";
export type { RetryOptions } from "./retry.js";
export type { components, operations, paths } from "./schema.js";
export { type Fetch, TodoTokenError, type Token } from "./token.js";

export type Task = components["schemas"]["TaskResponse"];
export type TaskCreate = components["schemas"]["TaskCreate"];
export type TaskUpdate = components["schemas"]["TaskUpdate"];
export type TaskComplete = components["schemas"]["TaskComplete"];
export type TaskQuery = NonNullable<operations["listTasks"]["parameters"]["query"]>;

export type TodoClientOptions = {
  /** Where the API is; the paths of the contract are appended. */
  baseUrl: string;
  retry?: RetryOptions;
  /** Used instead of the global `fetch`. */
  fetch?: Fetch;
} & (User | Lasting);

interface User {
  /** The user's id, the `sub` of the tokens. Create a new client for each user who signs in: it caches the token. */
  userId: string;
  token: Token;
}

interface Lasting {
  userId?: string;
  token: string;
}

export interface RequestOptions {
  signal?: AbortSignal;
}

export interface CreateOptions extends RequestOptions {
  /** Identifies this create: a second create with the same key returns the first task. */
  idempotencyKey?: string;
}

export interface ReadOptions extends RequestOptions {
  /** The ETag of the caller's version. */
  ifNoneMatch: string | undefined;
}

/** For a change of any version, leave `ifMatch` out: `undefined` is an error. */
export type WriteOptions = RequestOptions | ConditionalOptions;

export interface ConditionalOptions extends RequestOptions {
  /** Changes only the version with this ETag: where the task has another, the answer is a 412. */
  ifMatch: string;
}

type FullAnswer = Exclude<Answer<"getTask">, { status: 304 }>;

/** The operations of the API, with their names in the contract, and `listAll`. */
export interface TodoClient {
  /**
   * One page of the tasks; `nextCursor` is the cursor of the next page. With `count: true`, `total` is the number of tasks
   * of all pages, or `undefined` if the user has too many tasks to count.
   */
  listTasks(query?: TaskQuery, options?: RequestOptions): Promise<Answer<"listTasks">>;
  /** The tasks of all pages. Fetches each page when it is needed. Throws a `TodoApiError` if one fails. */
  listAll(query?: Omit<TaskQuery, "count">, options?: RequestOptions): AsyncGenerator<Task, void, void>;
  /** Creates a task once, even if the request is repeated: it has an `Idempotency-Key`, by default a new one. */
  createTask(task: TaskCreate, options?: CreateOptions): Promise<Answer<"createTask">>;
  /** Reads a task. With `ifNoneMatch`, the answer is a 304 without data if the task has not changed. */
  getTask(id: string, options: ReadOptions): Promise<Answer<"getTask">>;
  getTask(id: string, options?: RequestOptions & { ifNoneMatch?: never }): Promise<FullAnswer>;
  /** Changes only the fields in `change`; `null` clears a field. */
  updateTask(id: string, change: TaskUpdate, options?: WriteOptions): Promise<Answer<"updateTask">>;
  /** Sets `completed`. Without a state, toggles it; the client repeats that only after a 429. */
  completeTask(id: string, state?: TaskComplete, options?: WriteOptions): Promise<Answer<"completeTask">>;
  deleteTask(id: string, options?: WriteOptions): Promise<Answer<"deleteTask">>;
  /** Forgets the cached token, so that it does not outlive a sign-out; the next request calls the `token` function. */
  forgetToken(): void;
}

/** A client of the API that acts for one user. */
export function createTodoClient(options: TodoClientOptions): TodoClient {
  const { baseUrl, token, userId, retry, fetch = (request) => globalThis.fetch(request) } = options;
  const authorization = withToken(withRetries(fetch, retry), token, userId);
  const api = createClient<paths>({ baseUrl, fetch: authorization.fetch });

  function listTasks(query: TaskQuery = {}, options?: RequestOptions) {
    return answer<"listTasks">(api.GET("/api/tasks", { params: { query }, ...options }));
  }

  function getTask(id: string, options: ReadOptions): Promise<Answer<"getTask">>;
  function getTask(id: string, options?: RequestOptions): Promise<FullAnswer>;
  function getTask(id: string, { ifNoneMatch, ...options }: Partial<ReadOptions> = {}): Promise<Answer<"getTask">> {
    const header = ifNoneMatch === undefined ? {} : { "If-None-Match": ifNoneMatch };
    return answer(api.GET("/api/tasks/{id}", { params: { path: { id }, header }, ...options }));
  }

  return {
    listTasks,
    async *listAll(query, options) {
      let cursor = query?.cursor;
      const seen = new Set<string | undefined>();
      do {
        seen.add(cursor);
        const page: Answer<"listTasks"> = await listTasks(cursor === undefined ? query : { ...query, cursor }, options);
        for (const task of unwrap(page)) {
          options?.signal?.throwIfAborted();
          yield task;
        }
        cursor = nextCursor(page);
        // Behind a gateway that drops the query every page is the first, and leads to the second.
      } while (cursor !== undefined && !seen.has(cursor));
    },
    createTask(task, { idempotencyKey = newIdempotencyKey(), ...options } = {}) {
      const params = { header: { "Idempotency-Key": idempotencyKey } };
      return answer(api.POST("/api/tasks", { params, body: task, ...options }));
    },
    getTask,
    async updateTask(id, change, options) {
      return answer(api.PUT("/api/tasks/{id}", { body: change, ...write(id, options) }));
    },
    async completeTask(id, state, options) {
      return answer(api.PATCH("/api/tasks/{id}/complete", { body: state, ...write(id, options) }));
    },
    async deleteTask(id, options) {
      return answer(api.DELETE("/api/tasks/{id}", write(id, options)));
    },
    forgetToken: authorization.forgetToken,
  };
}

function write(id: string, options: WriteOptions = {}) {
  if (!("ifMatch" in options)) return { params: { path: { id } }, ...options };
  const { ifMatch, ...others } = options;
  if (typeof ifMatch !== "string" || ifMatch === "") {
    throw new TypeError("`ifMatch` must be an ETag; to change any version of the task, leave it out");
  }
  // A gateway has weakened the tag of the API, which never matches as it is (RFC 9110, section 13.1.1).
  const header = { "If-Match": ifMatch.replace(/^W\//, "") };
  return { params: { path: { id }, header }, ...others };
}

/**
 * A new idempotency key. Keep it with a form, so that sending the form again after a lost answer creates no second task.
 * Unlike `crypto.randomUUID`, this also works on pages without TLS, such as a development server on another machine.
 */
export function newIdempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");
}
