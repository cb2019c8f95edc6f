import { codeOf } from "./answer.js";

/** Sends a request, as `fetch` does. */
export type Fetch = (request: Request) => Promise<Response>;

/**
 * A token, or what gets one. It is asked for the first request, and again, with `refresh: true`, when the API says that
 * the token has expired or is not valid; in between the token is kept.
 */
export type Token = string | ((reason: { refresh: boolean }) => string | Promise<string>);

/** Signs requests, and sends one again with a new token where the old one was refused; `send` leaves them unread. */
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
    // Of many requests that were refused with one token, the first to hear of it asks for all.
    const next = current && current !== used ? current : ask(true);
    return sendAs(request, await next);
  };
}

async function isRefused(response: Response): Promise<boolean> {
  if (response.status !== 401) return false;
  const code = await codeOf(response);
  return code === "token_expired" || code === "token_invalid";
}
