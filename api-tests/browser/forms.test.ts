import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, open } from "./browser.ts";
import { add, identity, row, signIn, signUp, start, stopAll, titles } from "./web.ts";

let browser: Browser;
let servers: Awaited<ReturnType<typeof start>>;

beforeAll(async () => {
  browser = await launch();
  servers = await start();
});

afterAll(async () => {
  await browser?.close();
  await stopAll();
});

async function visit(name: string, options: Parameters<typeof open>[1] = {}) {
  const watched = await open(browser, options);
  await watched.page.goto(servers.web.url);
  await signUp(watched.page, name);
  return watched;
}

test("a task with a priority and tags is added and edited by keyboard alone", async () => {
  const { page, close } = await visit("ada");
  const { keyboard } = page;
  const form = page.getByRole("form", { name: "Add a task" });
  await form.getByLabel("Title").focus();
  await keyboard.type("Buy milk");
  await keyboard.press("Tab");
  await keyboard.press("Enter");
  await keyboard.press("Tab");
  await keyboard.type("Two litres");
  await form.getByLabel("Priority").focus();
  await keyboard.type("High");
  await keyboard.press("Tab");
  await keyboard.type("shop, home,home ,urgent");
  // Enter ends the tag, and sends the form only without one.
  await keyboard.press("Enter");
  await form.getByRole("button", { name: "Remove the tag urgent" }).press("Enter");
  await keyboard.type("today");
  expect(await form.getByLabel("Tags").inputValue()).toBe("today");
  await keyboard.press("Enter");
  await keyboard.press("Enter");

  const task = row(page, "Buy milk");
  await task.waitFor();
  expect(await task.getByText("High priority").count()).toBe(1);
  const tags = task.getByRole("link");
  expect(await tags.allTextContents()).toEqual(["Tag: shop", "Tag: home", "Tag: today"]);

  await task.getByRole("button", { name: "Edit Buy milk" }).press("Enter");
  const edit = page.getByRole("form", { name: "Edit Buy milk" });
  await edit.getByLabel("Priority").focus();
  await keyboard.type("Low");
  await edit.getByRole("button", { name: "Remove the tag home" }).press("Enter");
  await keyboard.type("cellar");
  // A tag that is not ended counts, too.
  await edit.getByRole("button", { name: "Save" }).press("Enter");
  await page.getByRole("status").filter({ hasText: "Saved “Buy milk”." }).waitFor();
  expect(await tags.allTextContents()).toEqual(["Tag: shop", "Tag: today", "Tag: cellar"]);
  expect(await task.getByText("Low priority").count()).toBe(1);
  expect(await page.locator(":focus").getAttribute("aria-label")).toBe("Edit Buy milk");
  await close();
});

test("a rejected tag is named at its field, which opens for it", async () => {
  const { page, close } = await visit("bob");
  const form = page.getByRole("form", { name: "Add a task" });
  const details = form.getByText("Description, due date, priority and tags");
  await form.getByLabel("Title").fill("Buy milk");
  await details.click();
  const long = "x".repeat(51);
  await form.getByLabel("Tags").fill(`shop,${long},`);
  await details.click();
  await form.getByRole("button", { name: "Add task" }).click();
  await form.getByText(`Tags: “${long}” must have 1 to 50 characters`).waitFor();
  expect(await form.getByLabel("Tags").evaluate((input) => input === document.activeElement)).toBe(true);
  await form.getByRole("button", { name: `Remove the tag ${long}` }).click();
  await form.getByRole("button", { name: "Add task" }).click();
  await row(page, "Buy milk").getByRole("link", { name: "Tag: shop" }).waitFor();
  await close(/status of 422/);
});

test("after a conflict, the form shows the priority and the tags that are saved now", async () => {
  const { page, close } = await visit("carol");
  await add(page, "Buy milk");
  await page.getByRole("button", { name: "Edit Buy milk" }).click();
  const form = page.getByRole("form", { name: "Edit Buy milk" });
  await form.getByLabel("Tags").fill("mine,");
  await form.getByLabel("Priority").selectOption("Low");

  const { token } = await identity(page);
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const [task] = await (await fetch(`${servers.api.url}/api/tasks`, { headers })).json();
  const change = JSON.stringify({ priority: "high", tags: ["theirs", "shop"], description: "Two litres" });
  await fetch(`${servers.api.url}/api/tasks/${task.id}`, { method: "PUT", headers, body: change });

  await form.getByRole("button", { name: "Save" }).click();
  await form.getByText("Now saved: High", { exact: true }).waitFor();
  await form.getByText("Now saved: theirs, shop", { exact: true }).waitFor();
  await form.getByRole("button", { name: "Save" }).click();
  const saved = row(page, "Two litres");
  await saved.getByText("Low priority").waitFor();
  expect(await saved.getByRole("link").allTextContents()).toEqual(["Tag: mine"]);
  await close(/status of 412/);
});

test("a due time that the clocks skip is the one that they show instead", async () => {
  const { page, close } = await visit("dora", { timezoneId: "Europe/Berlin" });
  const form = page.getByRole("form", { name: "Add a task" });
  await form.getByText("Description, due date, priority and tags").click();
  await form.getByLabel("Due").fill("2027-03-28T02:30");
  await add(page, "Change the clocks");
  const time = row(page, "Change the clocks").getByRole("time");
  expect(await time.getAttribute("datetime")).toBe("2027-03-28T01:30:00Z");
  expect(await time.textContent()).toMatch(/3:30/);
  await close();
});

test("a person reads that signing out has failed, and the next one sees nothing of the search", async () => {
  const { page, context, close } = await visit("eve");
  await add(page, "Buy milk");
  await page.goto(`${servers.web.url}/?view=pending&q=milk`);
  await row(page, "Buy milk").waitFor();
  await context.setOffline(true);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("alert").filter({ hasText: "You are not signed out. The server cannot be reached." }).waitFor();
  await context.setOffline(false);
  await expect.poll(() => titles(page)).toEqual(["Buy milk"]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  expect(page.url()).toBe(`${servers.web.url}/`);
  await signIn(page, "eve");
  await row(page, "Buy milk").waitFor();
  expect(await page.getByRole("alert").count()).toBe(0);
  // A request of the page that comes after the sign-out gets no token.
  await close(/ERR_INTERNET_DISCONNECTED|status of 401/);
});

test("a person reads that signing in has failed, and tries again without typing anything again", async () => {
  const { page, context, close } = await visit("fred");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await context.setOffline(true);
  await signIn(page, "fred");
  await page.getByRole("alert").filter({ hasText: "The server cannot be reached." }).waitFor();
  await context.setOffline(false);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Your tasks" }).waitFor();
  await close(/ERR_INTERNET_DISCONNECTED/);
});
