import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startProxy } from "../../client/test/proxy.ts";
import { type Server, startServer } from "../server.ts";
import { launch, open } from "./browser.ts";

let browser: Browser;
let server: Server;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), startServer()]);
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

async function authorize(page: Page, user: string): Promise<void> {
  await page.getByRole("button", { name: "Authorize" }).first().click();
  await page.getByLabel("auth-bearer-value").fill(await server.token(user));
  await page.getByRole("button", { name: "Apply credentials" }).click();
  await page.getByRole("button", { name: "Close" }).click();
}

/** Opens a closed operation, and presses *Try it out*. */
async function tryOut(page: Page, operation: string): Promise<Locator> {
  const block = page.locator(`.opblock[id$="-${operation}"]`);
  await block.locator(".opblock-summary-control").click();
  await block.getByRole("button", { name: "Try it out" }).click();
  return block;
}

/** Presses *Execute*, and returns the status and the body in Swagger UI. */
async function execute(page: Page, block: Locator, path: RegExp): Promise<{ status: number; body: string }> {
  const answered = page.waitForResponse((response) => path.test(new URL(response.url()).pathname));
  await block.getByRole("button", { name: "Execute" }).click();
  const response = await answered;
  const shown = block.locator(".live-responses-table tr.response .response-col_status").first();
  await expect.poll(() => shown.textContent()).toContain(String(response.status()));
  return { status: response.status(), body: response.status() === 204 ? "" : await response.text() };
}

test("a person authorizes, tries out all operations, and is still authorized after a reload", async () => {
  const { page, close } = await open(browser);
  const answer = await page.goto(`${server.url}/docs`);
  expect(answer?.headers()["content-security-policy"]).toContain("default-src 'none'");
  await authorize(page, "alice");

  const create = await tryOut(page, "createTask");
  await create.locator("textarea.body-param__text").fill(JSON.stringify({ title: "Buy milk" }));
  const created = await execute(page, create, /^\/api\/tasks$/);
  expect(created.status).toBe(201);
  const task = JSON.parse(created.body) as { id: string; user_id: string };
  expect(task.user_id).toBe("alice");
  const one = new RegExp(`^/api/tasks/${task.id}$`);
  const fillId = (block: Locator) => block.getByPlaceholder("id").fill(task.id);

  const list = await tryOut(page, "listTasks");
  await list.locator("tr[data-param-name=status] select").selectOption("pending");
  const listed = await execute(page, list, /^\/api\/tasks$/);
  expect(JSON.parse(listed.body)).toMatchObject([{ id: task.id }]);

  const get = await tryOut(page, "getTask");
  await fillId(get);
  expect((await execute(page, get, one)).status).toBe(200);

  const update = await tryOut(page, "updateTask");
  await fillId(update);
  await update.locator("textarea.body-param__text").fill(JSON.stringify({ description: "Two litres" }));
  expect(JSON.parse((await execute(page, update, one)).body)).toMatchObject({
    title: "Buy milk",
    description: "Two litres",
  });

  await page.reload();
  const complete = await tryOut(page, "completeTask");
  await fillId(complete);
  await complete.locator("textarea.body-param__text").fill(JSON.stringify({ completed: true }));
  const completed = await execute(page, complete, new RegExp(`^/api/tasks/${task.id}/complete$`));
  expect(JSON.parse(completed.body)).toMatchObject({ completed: true });

  const remove = await tryOut(page, "deleteTask");
  await fillId(remove);
  expect((await execute(page, remove, one)).status).toBe(204);
  await close();
});

test("below a prefix that a gateway strips, a person is redirected to /docs, and tries out operations there", async () => {
  const gateway = await startProxy(server.url, "/todo");
  const { page, close } = await open(browser);
  await page.goto(`${gateway.url}/`);
  expect(page.url()).toBe(`${gateway.url}/docs`);
  await authorize(page, "gateway");

  const create = await tryOut(page, "createTask");
  await create.locator("textarea.body-param__text").fill(JSON.stringify({ title: "Buy milk" }));
  const created = await execute(page, create, /^\/todo\/api\/tasks$/);
  expect(created.status).toBe(201);
  expect(await create.locator(".request-url").textContent()).toContain(`${gateway.url}/api/tasks`);

  const get = await tryOut(page, "getTask");
  const { id } = JSON.parse(created.body) as { id: string };
  await get.getByPlaceholder("id").fill(id);
  expect((await execute(page, get, new RegExp(`^/todo/api/tasks/${id}$`))).status).toBe(200);
  expect(gateway.exchanges.filter(({ path }) => !path.startsWith("/todo/"))).toEqual([]);
  await close();
  await gateway.stop();
});

test("an operation without a token shows the problem and how to solve it", async () => {
  const { page, close } = await open(browser);
  await page.goto(`${server.url}/docs`);
  const { status, body } = await execute(page, await tryOut(page, "listTasks"), /^\/api\/tasks$/);
  expect([status, JSON.parse(body).code]).toEqual([401, "token_missing"]);
  await close(/status of 401/);
});

test("the policy of the page blocks other scripts and requests to other servers", async () => {
  const { page, complaints, context } = await open(browser);
  await page.goto(`${server.url}/docs`);
  await page.getByRole("button", { name: "Authorize" }).first().waitFor();
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
    return "ran" in window;
  });
  expect(ran).toBe(false);
  await expect(page.evaluate(() => fetch("http://127.0.0.1:9/"))).rejects.toThrow();
  expect(complaints.join("\n")).toMatch(/inline script violates .*script-src/);
  expect(complaints.join("\n")).toMatch(/127\.0\.0\.1:9.*violates .*connect-src/);
  await context.close();
});
