import type { components, operations } from "./schema.js";

/** The body of every error answer. Branch on its `code`. */
export type Problem = components["schemas"]["Problem"];
/** The kind of error, for programs. */
export type ProblemCode = components["schemas"]["ProblemCode"];

type Content<Declared> = Declared extends { content: { "application/json": infer Data } }
  ? { data: Data; error?: undefined }
  : Declared extends { content: { "application/problem+json": infer Failure } }
    ? { data?: undefined; error: Failure }
    : { data?: undefined; error?: undefined };

type ETag<Declared> = Declared extends { headers: { ETag: infer Value } } ? { etag: Value } : { etag?: undefined };

type Total<Declared> = Declared extends { headers: { "X-Total-Count"?: number } }
  ? { total: number | undefined }
  : { total?: undefined };

/** The answer of an operation: one of the declared statuses, with its `data` or its `error`. */
export type Answer<Id extends keyof operations, Declared = operations[Id]["responses"]> = {
  [Status in keyof Declared]: Content<Declared[Status]> &
    ETag<Declared[Status]> &
    Total<Declared[Status]> & { status: Status; response: Response };
}[keyof Declared];

/** `unwrap` and `listAll` throw it for any error, the other methods only if the answer is not from the API. */
export class TodoApiError extends Error {
  override readonly name = "TodoApiError";
  readonly response: Response;
  /** Absent if the answer does not come from the API, for example if a proxy sent it. */
  readonly problem: Problem | undefined;

  constructor(response: Response, problem?: Problem) {
    super(problem?.detail ?? `The response with the status ${response.status} is not from the API.`);
    this.response = response;
    this.problem = problem;
  }

  get code(): ProblemCode | undefined {
    return this.problem?.code;
  }
}

/** The data of an answer. Throws a `TodoApiError` if the answer is an error. */
export function unwrap<A extends { data?: unknown; error?: Problem | undefined; response: Response }>(
  answer: A,
): Exclude<A, { error: Problem }>["data"] {
  if (answer.error) throw new TodoApiError(answer.response, answer.error);
  return answer.data;
}

/** Converts a result of openapi-fetch to an `Answer`. */
export async function answer<Id extends keyof operations>(
  exchange: Promise<{ data?: unknown; error?: unknown; response: Response }>,
): Promise<Answer<Id>> {
  const { data, error, response } = await exchange;
  const { status, ok, headers } = response;
  const problem = isProblem(response) ? error : undefined;
  if (!ok && status !== 304 && !problem) throw new TodoApiError(response);
  const etag = headers.get("ETag") ?? undefined;
  const count = headers.get("X-Total-Count");
  const total = count === null ? undefined : Number(count);
  const read: unknown = { status, data, error: problem, etag, total, response };
  return read as Answer<Id>;
}

/** The code of an unread answer, which stays unread. */
export async function codeOf(response: Response): Promise<ProblemCode | undefined> {
  return isProblem(response) ? ((await response.clone().json()) as Problem).code : undefined;
}

function isProblem(response: Response): boolean {
  return /^application\/problem\+json\b/i.test(response.headers.get("Content-Type") ?? "");
}
