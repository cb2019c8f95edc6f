import { getConnInfo } from "@hono/node-server/conninfo";
import { Hono } from "hono";
import { auth } from "./auth";

/** Everything except the page, which Vite serves in development. */
export const app = new Hono();

app.on(["GET", "POST"], "/api/auth/*", async (c) => {
  // The rate limiter counts by address. Append the caller's address, like a proxy, so that nobody can fake another one.
  const request = new Request(c.req.raw);
  request.headers.append("X-Forwarded-For", getConnInfo(c).remote.address ?? "");
  const response = await auth.handler(request);
  response.headers.set("Cache-Control", "no-store");
  return response;
});
