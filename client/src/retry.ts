import { codeOf } from "./answer.js";
import type { Fetch } from "./token.js";

/**
 * Retries of any request after a 429, and of safely repeatable ones after a network error, a 503, or an idempotency key in
 * flight.
 */
export interface RetryOptions {
  /** Maximum number of attempts; 1 disables retries. Default: 4. */
  attempts?: number;
  /** Milliseconds: the mean wait before the second attempt is half of this. It doubles each time. Default: 300. */
  baseDelay?: number;
  /** Milliseconds: the longest wait. If `Retry-After` is longer, the client returns the answer. Default: 10 000. */
  maxDelay?: number;
}

/** Retries requests where that is safe. Sends copies, so the request itself stays unread. */
export function withRetries(fetch: Fetch, options: RetryOptions = {}): Fetch {
  const { attempts = 4, baseDelay = 300, maxDelay = 10_000 } = options;
  return async (request) => {
    const repeatable = await isRepeatable(request);
    for (let attempt = 1; ; attempt++) {
      let least = 0;
      try {
        const response = await fetch(request.clone());
        // An incomplete answer counts as a network error.
        await response.clone().arrayBuffer();
        // The API has not begun a request that it answers with 429.
        const again = response.status === 429 || (repeatable && (await isPassing(response)));
        if (attempt >= attempts || !again) return response;
        least = retryAfter(response);
        if (least > maxDelay) return response;
      } catch (error) {
        if (attempt >= attempts || !repeatable) throw error;
      }
      const backoff = Math.random() * baseDelay * 2 ** (attempt - 1);
      await pause(Math.min(least + backoff, maxDelay), request.signal);
    }
  };
}

async function isRepeatable(request: Request): Promise<boolean> {
  switch (request.method) {
    case "GET":
    case "PUT":
    case "DELETE":
      return true;
    case "POST":
      return request.headers.has("Idempotency-Key");
    case "PATCH":
      // Without a body it is a toggle, and a repetition would undo it.
      return (await request.clone().text()) !== "";
    default:
      return false;
  }
}

async function isPassing(response: Response): Promise<boolean> {
  return response.status === 503 || (await codeOf(response)) === "idempotency_key_in_flight";
}

/** Milliseconds of the answer's `Retry-After`, which has seconds or a date (RFC 9110, section 10.2.3). */
function retryAfter(response: Response): number {
  const value = response.headers.get("Retry-After") ?? "0";
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Math.max(wait || 0, 0);
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  });
}
