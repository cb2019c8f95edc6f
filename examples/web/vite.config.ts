import { getRequestListener } from "@hono/node-server";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** In development, Vite serves the page and this plugin the rest. Both apply changes at once. */
const server: Plugin = {
  name: "server",
  apply: "serve",
  configureServer: (vite) => {
    vite.middlewares.use("/api", async (request, response) => {
      request.url = request.originalUrl!;
      const { app } = await vite.ssrLoadModule("/server/app.ts");
      await getRequestListener(app.fetch)(request, response);
    });
  },
  transformIndexHtml: async (html, { server }) => {
    const { withApiUrl } = await server!.ssrLoadModule("/server/page.ts");
    return withApiUrl(html);
  },
};

export default defineConfig({
  plugins: [react(), server],
  build: { outDir: "dist/client" },
  server: { port: Number(process.env.PORT ?? 3000), strictPort: true },
});
