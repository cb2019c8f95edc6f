import { getConnInfo } from "@hono/node-server/conninfo";
import { Hono } from "hono";
import { auth } from "./auth";

/** Everything but the page, which Vite serves in development. */
export const app = new Hono();

app.on(["GET", "POST"], "/api/auth/*", async (c) => {
  // The rate limiter counts by address: append the caller's, as a proxy does, so that none can pretend to be another.
  const request = new Request(c.req.raw);
  request.headers.append("X-Forwarded-For", getConnInfo(c).remote.address ?? "");
  const response = await auth.handler(request);
  response.headers.set("Cache-Control", "no-store");
  return response;
});
