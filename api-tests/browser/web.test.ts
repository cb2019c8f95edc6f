import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { launch, open } from "./browser.ts";
import { add, PASSWORD, row, signIn, signUp, start, stop, stopAll, titles, view } from "./web.ts";

let browser: Browser;

beforeAll(async () => {
  browser = await launch();
});

afterAll(() => browser?.close());

afterEach(stopAll);

test("a person signs up, signs out and in, creates, lists, edits, toggles and deletes tasks", async () => {
  const { web, api } = await start();
  const { page, close } = await open(browser);
  const preflights: string[] = [];
  page.on("request", (request) => {
    if (request.method() !== "GET" && request.url().startsWith(api.url)) preflights.push(request.method());
  });
  await page.goto(web.url);
  await signUp(page, "alice");
  await page.getByText("No tasks yet").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await signIn(page, "alice");

  await add(page, "Buy milk");
  await add(page, "Água");
  await add(page, "call Zoë");
  expect(await titles(page)).toEqual(["call Zoë", "Água", "Buy milk"]);
  await page.getByRole("combobox", { name: "Sort by" }).selectOption({ label: "Title A to Z" });
  await expect.poll(() => titles(page)).toEqual(["Buy milk", "call Zoë", "Água"]);

  await page.getByRole("button", { name: "Edit Buy milk" }).click();
  const form = page.getByRole("form", { name: "Edit Buy milk" });
  await form.getByLabel("Title").fill("Buy oat milk");
  await form.getByLabel("Description").fill("Two litres");
  await form.getByRole("button", { name: "Save" }).click();
  await row(page, "Two litres").waitFor();

  await page.getByRole("checkbox", { name: "Buy oat milk" }).check();
  await page.getByRole("status").filter({ hasText: "Completed “Buy oat milk”." }).waitFor();
  await view(page, "Pending").click();
  await expect.poll(() => titles(page)).toEqual(["call Zoë", "Água"]);
  await view(page, "Completed").click();
  await expect.poll(() => titles(page)).toEqual(["Buy oat milk"]);

  await page.getByRole("button", { name: "Delete Buy oat milk" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Nothing is completed yet.").waitFor();
  await view(page, "All").click();
  await expect.poll(() => titles(page)).toEqual(["call Zoë", "Água"]);
  expect(new Set(preflights)).toEqual(new Set(["POST", "PUT", "PATCH", "DELETE"]));
  await close();
});

test("two people on one server see only their own tasks", async () => {
  const { web } = await start();
  const [hers, his] = [await open(browser), await open(browser)];
  for (const [{ page }, name] of [
    [hers, "alice"],
    [his, "bob"],
  ] as const) {
    await page.goto(web.url);
    await signUp(page, name);
    await add(page, `The task of ${name}`);
  }
  for (const [{ page, close }, name] of [
    [hers, "alice"],
    [his, "bob"],
  ] as const) {
    await page.reload();
    await expect.poll(() => titles(page)).toEqual([`The task of ${name}`]);
    await close();
  }
});

test("two people who sign in one after the other in one tab see and add their own tasks only", async () => {
  const { web } = await start();
  const { page, close } = await open(browser);
  const signOut = () => page.getByRole("button", { name: "Sign out" }).click();
  await page.goto(web.url);
  await signUp(page, "alice");
  await add(page, "The task of alice");
  await signOut();

  await signUp(page, "bob");
  await page.getByText("No tasks yet").waitFor();
  await add(page, "The task of bob");
  expect(await titles(page)).toEqual(["The task of bob"]);
  await signOut();

  for (const name of ["alice", "bob"]) {
    await signIn(page, name);
    await expect.poll(() => titles(page)).toEqual([`The task of ${name}`]);
    await signOut();
  }
  await close();
});

test("a page does not send what one person does as another one, who has signed in behind its back", async () => {
  // Each token is good for two seconds, as below.
  const { web } = await start({ AUTH_TOKEN_LIFETIME: "-28s" });
  const { page, close } = await open(browser);
  await page.goto(web.url);
  await signUp(page, "bob");
  await page.getByRole("button", { name: "Sign out" }).click();
  await signUp(page, "alice");
  await add(page, "The task of alice");
  const credentials = { email: "bob@example.com", password: PASSWORD };
  await page.evaluate(async (credentials) => {
    const headers = { "Content-Type": "application/json" };
    await fetch("/api/auth/sign-in/email", { method: "POST", headers, body: JSON.stringify(credentials) });
  }, credentials);

  const form = page.getByRole("form", { name: "Add a task" });
  const his = page.getByText("bob", { exact: true });
  const hers = page.getByText("Another task of alice", { exact: true });
  // Until her token has expired, and the page gets one of his. Each time the outcome is awaited: the next task would be his.
  for (let count = 1; !(await his.isVisible()); count++) {
    await form.getByLabel("Title").fill("Another task of alice");
    await form.getByRole("button", { name: "Add task" }).click();
    await hers
      .nth(count - 1)
      .or(his)
      .first()
      .waitFor();
  }
  await page.getByText("No tasks yet").waitFor();
  await close(/status of 401/);
});

test("a token that expires is renewed, and the person does not notice", async () => {
  // The API allows clocks to differ by 30 seconds, so a token that is 28 seconds too old at first is valid for two.
  const { web, api } = await start({ AUTH_TOKEN_LIFETIME: "-28s" });
  const { page, close } = await open(browser);
  let tokens = 0;
  const refused: number[] = [];
  page.on("response", (response) => {
    if (response.url().endsWith("/api/auth/token")) tokens += 1;
    if (response.url().startsWith(api.url) && response.status() >= 400) refused.push(response.status());
  });
  await page.goto(web.url);
  await signUp(page, "alice");
  await add(page, "Buy milk");
  let done = false;
  while (tokens < 3) {
    done = !done;
    await page.getByRole("checkbox", { name: "Buy milk" }).click();
    const said = done ? "Completed “Buy milk”." : "“Buy milk” is pending again.";
    await page.getByRole("status").filter({ hasText: said }).waitFor();
  }
  expect(new Set(refused)).toEqual(new Set([401]));
  expect(await page.getByRole("alert").count()).toBe(0);
  await page.reload();
  await expect.poll(() => page.getByRole("checkbox", { name: "Buy milk" }).isChecked()).toBe(done);
  await close(/status of 401/);
});

test("a rejected sign-in is shown to the person", async () => {
  const { web } = await start();
  const { page, close } = await open(browser);
  await page.goto(web.url);
  await signIn(page, "nobody", "wrong password");
  await page
    .getByRole("alert")
    .filter({ hasText: /invalid email or password/i })
    .waitFor();
  await close(/status of 401/);
});

test("an unavailable server is shown, and requests are retried", async () => {
  const { web, api, startApi } = await start();
  const { page, close } = await open(browser);
  await page.goto(web.url);
  await signUp(page, "alice");
  await add(page, "Buy milk");
  await stop(api);
  await view(page, "Pending").click();
  await page.getByRole("alert").filter({ hasText: "The server cannot be reached." }).waitFor();
  await startApi();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("Nothing is pending").waitFor();
  await add(page, "Buy bread");
  await close(/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET/);
});

test("a rejected title is shown at its field, and the typed text is not lost", async () => {
  const { web } = await start();
  const { page, close } = await open(browser, { viewport: { width: 360, height: 740 } });
  await page.goto(web.url);
  await signUp(page, "alice");
  const form = page.getByRole("form", { name: "Add a task" });
  const long = "x".repeat(256);
  await form.getByLabel("Title").fill(long);
  await form.getByRole("button", { name: "Add task" }).click();
  await form.getByText("1 to 255 characters").waitFor();
  expect(await form.getByLabel("Title").inputValue()).toBe(long);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(width).toBeLessThanOrEqual(360);
  await close(/status of 422/);
});
