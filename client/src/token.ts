import { codeOf } from "./answer.js";

/** Sends a request, as `fetch` does. */
export type Fetch = (request: Request) => Promise<Response>;

/**
 * A token, or a function that gets one. The client calls the function for the first request, and again, with
 * `refresh: true`, when the API says that the token has expired or is not valid; in between it caches the token.
 */
export type Token = string | ((reason: { refresh: boolean }) => string | Promise<string>);

/** Thrown in place of a request if `token` returns nothing, or a token of another user. */
export class TodoTokenError extends Error {
  override readonly name = "TodoTokenError";
}

export interface Authorization {
  fetch: Fetch;
  forgetToken(): void;
}

/** Signs requests, and sends one again with a new token where the old one was refused; `send` leaves them unread. */
export function withToken(send: Fetch, token: Token, userId: string | undefined): Authorization {
  const sendAs = (request: Request, token: string) => {
    request.headers.set("Authorization", `Bearer ${token}`);
    return send(request);
  };
  if (typeof token === "string" && token !== "") {
    checkUser(token, userId);
    return { fetch: (request) => sendAs(request, token), forgetToken() {} };
  }
  if (typeof token !== "function") throw new TypeError("`token` must be a token, or a function that returns one");
  if (!userId) {
    throw new TypeError("`userId` is required with a `token` function: create a new client for each user who signs in");
  }

  let current: Promise<string> | undefined;
  const ask = (refresh: boolean) => {
    const asked = (async () => {
      const next = await token({ refresh });
      if (!next) throw new TodoTokenError("`token` returned no token: it must throw an error if nobody is signed in");
      checkUser(next, userId);
      return next;
    })();
    current = asked;
    asked.catch(() => {
      if (current === asked) current = undefined;
    });
    return asked;
  };

  return {
    async fetch(request) {
      const used = current ?? ask(false);
      const response = await sendAs(request, await used);
      if (!(await isRefused(response))) return response;
      // Of many requests that were refused with one token, the first to hear of it asks for all.
      const next = current && current !== used ? current : ask(true);
      return sendAs(request, await next);
    },
    forgetToken() {
      current = undefined;
    },
  };
}

function checkUser(token: string, userId: string | undefined): void {
  const subject = subjectOf(token);
  if (userId !== undefined && subject !== undefined && subject !== userId) {
    throw new TodoTokenError(
      "`token` is of another user: its `sub` is not `userId`; create a new client for each user who signs in",
    );
  }
}

/** The user of a token, as it says itself. The API verifies the token, and rejects one without. */
function subjectOf(token: string): string | undefined {
  try {
    const payload = token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof sub === "string" ? sub : undefined;
  } catch {
    return undefined;
  }
}

async function isRefused(response: Response): Promise<boolean> {
  if (response.status !== 401) return false;
  const code = await codeOf(response);
  return code === "token_expired" || code === "token_invalid";
}
