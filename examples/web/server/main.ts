import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { serve } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import { compress } from "hono/compress";
import { secureHeaders } from "hono/secure-headers";
import { app } from "./app";
import { config } from "./config";
import { withApiUrl } from "./page";

const client = fileURLToPath(new URL("../client", import.meta.url));
const page = withApiUrl(readFileSync(`${client}/index.html`, "utf8"));

const site = new Hono()
  .use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        connectSrc: ["'self'", config.apiUrl.origin],
        imgSrc: ["'self'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
      strictTransportSecurity: "max-age=31536000",
      xFrameOptions: "DENY",
    }),
  )
  .route("/", app)
  .use(compress())
  .get("/", (c) => c.html(page, 200, { "Cache-Control": "no-cache" }))
  .get(
    "/assets/*",
    serveStatic({ root: client, onFound: (_, c) => c.header("Cache-Control", "public, max-age=31536000, immutable") }),
  )
  .get("/favicon.svg", serveStatic({ root: client }));

const server = serve({ fetch: site.fetch, hostname: config.host, port: config.port }, () =>
  console.log(`todo-web is at ${config.url} and uses the API at ${config.apiUrl.origin}`),
);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    server.close(() => process.exit());
    // Browsers keep unused connections open.
    setTimeout(() => process.exit(), 2000);
  });
}
