import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Server, startServer } from "../server.ts";
import { launch, open } from "./browser.ts";

const site = createServer((_, answer) => {
  answer.setHeader("Content-Type", "text/html").end("<!doctype html><title>A page</title><link rel=icon href=data:,>");
});

let browser: Browser;
let server: Server;
let port: number;

beforeAll(async () => {
  site.listen(0);
  await once(site, "listening");
  port = (site.address() as AddressInfo).port;
  // As a person may write it.
  const CORS_ORIGINS = `HTTP://LocalHost:${port}/`;
  [browser, server] = await Promise.all([launch(), startServer({ CORS_ORIGINS })]);
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
  site.close();
});

/** The parts of an answer that a script of the page can see. */
interface Seen {
  status: number;
  code?: string;
  etag: string | null;
  id: string | null;
}

test("a page of a listed origin reads every answer, with the headers that its tracing adds", async () => {
  const { page, close } = await open(browser);
  await page.goto(`http://localhost:${port}/`);
  const token = await server.token("alice");
  const ask = (method: string, path: string, own: Record<string, string> = {}, body?: string): Promise<Seen> => {
    const headers = { Authorization: `Bearer ${token}`, traceparent: "00-0-0-00", ...own };
    return page.evaluate(
      async ([url, method, headers, body]) => {
        const answer = await fetch(url, { method, headers, credentials: "include", ...(body ? { body } : {}) });
        const text = await answer.text();
        const { headers: seen } = answer;
        return {
          status: answer.status,
          ...(text ? { code: JSON.parse(text).code } : {}),
          etag: seen.get("ETag"),
          id: seen.get("Location")?.split("/").pop() ?? null,
        };
      },
      [`${server.url}${path}`, method, headers, body] as const,
    );
  };
  const json = { "Content-Type": "application/json" };
  const created = await ask("POST", "/api/tasks", { ...json, "Idempotency-Key": "1" }, '{"title":"x"}');
  expect(created).toMatchObject({ status: 201, etag: '"1"' });
  const task = `/api/tasks/${created.id}`;
  expect(await ask("GET", task, { "If-None-Match": '"1"' })).toMatchObject({ status: 304, etag: '"1"' });
  expect(await ask("PUT", task, { ...json, "If-Match": '"2"' }, "{}")).toMatchObject({ code: "precondition_failed" });
  expect(await ask("GET", "/nope")).toMatchObject({ status: 404, code: "route_not_found" });
  expect(await ask("DELETE", "/nope")).toMatchObject({ status: 404, code: "route_not_found" });
  expect(await ask("PATCH", "/docs")).toMatchObject({ status: 405, code: "method_not_allowed" });
  expect(await ask("GET", task, { Authorization: "Bearer x" })).toMatchObject({ status: 401, code: "token_invalid" });
  await close(/status of 40|status of 412/);
});

test("a page of another origin reads nothing", async () => {
  const { page, close } = await open(browser);
  // Another host is another origin, even for the same page.
  await page.goto(`http://127.0.0.1:${port}/`);
  await expect(page.evaluate((url) => fetch(url), `${server.url}/health`)).rejects.toThrow("Failed to fetch");
  await close(/CORS policy|ERR_FAILED/);
});
