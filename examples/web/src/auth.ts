import { jwtClient } from "better-auth/client/plugins";
import { createAuthClient } from "better-auth/react";

/** Better Auth on this origin: the session is in a cookie that scripts cannot read. */
export const auth = createAuthClient({ plugins: [jwtClient()] });
