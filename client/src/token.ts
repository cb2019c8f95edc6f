import { codeOf } from "./answer.js";

/** Sends a request, as `fetch` does. */
export type Fetch = (request: Request) => Promise<Response>;

/**
 * A token, or a function that gets one. The client calls it for the first request, and again with `refresh: true` if the
 * API rejects the token as expired or invalid. It caches the token in between.
 */
export type Token = string | ((reason: { refresh: boolean }) => string | Promise<string>);

/** Adds the token to requests, and repeats one with a new token if the old one was rejected. `send` must not read them. */
export function withToken(send: Fetch, token: Token): Fetch {
  const sendAs = (request: Request, token: string) => {
    request.headers.set("Authorization", `Bearer ${token}`);
    return send(request);
  };
  if (typeof token === "string") return (request) => sendAs(request, token);

  let current: Promise<string> | undefined;
  const ask = (refresh: boolean) => {
    const asked = (async () => token({ refresh }))();
    current = asked;
    asked.catch(() => {
      if (current === asked) current = undefined;
    });
    return asked;
  };

  return async (request) => {
    const used = current ?? ask(false);
    const response = await sendAs(request, await used);
    if (!(await isRefused(response))) return response;
    // If many requests were rejected with one token, only the first rejection gets a new one, for all of them.
    const next = current && current !== used ? current : ask(true);
    return sendAs(request, await next);
  };
}

async function isRefused(response: Response): Promise<boolean> {
  if (response.status !== 401) return false;
  const code = await codeOf(response);
  return code === "token_expired" || code === "token_invalid";
}
