import { jwtClient } from "better-auth/client/plugins";
import { createAuthClient } from "better-auth/react";

/** Better Auth on this origin: the session is in a cookie that scripts cannot read. */
export const auth = createAuthClient({ plugins: [jwtClient()] });

/** What went wrong, for the user; empty if nothing did. If there is no answer, Better Auth throws. */
export async function failure(call: Promise<{ error: { message?: string | undefined } | null }>): Promise<string> {
  const unreachable = "The server cannot be reached. Check your connection and try again.";
  try {
    const { error } = await call;
    return error ? error.message || unreachable : "";
  } catch {
    return unreachable;
  }
}
