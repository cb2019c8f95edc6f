import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, open } from "./browser.ts";
import { add, create, identity, results, row, signUp, start, stopAll, titles, view } from "./web.ts";

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

let people = 0;

/** The page of a new person with these tasks, where the first one is the newest. */
async function visit(tasks: { title: string; [field: string]: unknown }[], options: Parameters<typeof open>[1] = {}) {
  const watched = await open(browser, options);
  const { page } = watched;
  await page.goto(servers.web.url);
  people += 1;
  await signUp(page, `person${people}`);
  await create(page, servers.api, tasks.toReversed());
  await page.goto(servers.web.url);
  return watched;
}

/** The queries of the lists and of the counts that the page requests from now on. */
function watchQueries(page: Page) {
  const lists: URLSearchParams[] = [];
  const counts: URLSearchParams[] = [];
  page.on("request", (request) => {
    const { pathname, searchParams } = new URL(request.url());
    if (request.method() !== "GET" || pathname !== "/api/tasks") return;
    (searchParams.has("count") ? counts : lists).push(searchParams);
  });
  return { lists, counts };
}

/** Holds the requests to an address back. */
async function hold(page: Page, url: string | RegExp) {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let number = 0;
  await page.route(url, async (route) => {
    number += 1;
    await released;
    await route.continue();
  });
  return { number: () => number, release };
}

const search = (page: Page) => page.getByRole("searchbox", { name: "Search" });
const tagFilter = (page: Page) => page.getByRole("search").getByRole("combobox", { name: "Tag" });
const priorityFilter = (page: Page) => page.getByRole("search").getByRole("combobox", { name: "Priority" });
const order = (page: Page) => page.getByRole("combobox", { name: "Sort by" });
const focused = (page: Page) => page.locator(":focus");

const shopping = [
  { title: "Buy milk", tags: ["shop"], priority: "high" },
  { title: "Buy bread", description: "and oat MILK", tags: ["shop", "home"], priority: "low" },
  { title: "Call Zoë", tags: ["friends"], priority: "high" },
  { title: "Water the plants", tags: ["home"], completed: true },
];

test("a search, the filters, the view and the order are in the address, which can be reloaded, left and shared", async () => {
  const { page, context, close } = await visit(shopping);
  await expect.poll(() => titles(page)).toEqual(shopping.map(({ title }) => title));
  await results(page).getByText("4 tasks", { exact: true }).waitFor();

  await search(page).fill("Milk");
  await expect.poll(() => titles(page)).toEqual(["Buy milk", "Buy bread"]);
  await results(page).getByText("2 tasks", { exact: true }).waitFor();
  await priorityFilter(page).selectOption("Low");
  await expect.poll(() => titles(page)).toEqual(["Buy bread"]);
  await view(page, "Pending").click();
  await order(page).selectOption("Title A to Z");
  await expect.poll(() => page.url()).toBe(`${servers.web.url}/?view=pending&q=Milk&priority=low&sort=title`);

  const expectAll = async (other: Page) => {
    await expect.poll(() => titles(other)).toEqual(["Buy bread"]);
    expect(await search(other).inputValue()).toBe("Milk");
    expect(await priorityFilter(other).inputValue()).toBe("low");
    expect(await order(other).inputValue()).toBe("title");
    expect(await view(other, "Pending").getAttribute("aria-current")).toBe("page");
  };
  await page.reload();
  await expectAll(page);
  const shared = await context.newPage();
  await shared.goto(page.url());
  await expectAll(shared);

  for (const [address, found] of [
    ["?view=pending&q=Milk&priority=low", ["Buy bread"]],
    ["?q=Milk&priority=low", ["Buy bread"]],
    ["?q=Milk", ["Buy milk", "Buy bread"]],
    ["", shopping.map(({ title }) => title)],
  ] as const) {
    await page.goBack();
    expect(page.url()).toBe(`${servers.web.url}/${address}`);
    await expect.poll(() => titles(page)).toEqual(found);
  }
  expect(await search(page).inputValue()).toBe("");
  await page.goForward();
  await expect.poll(() => titles(page)).toEqual(["Buy milk", "Buy bread"]);
  expect(await search(page).inputValue()).toBe("Milk");

  await page.goto(`${servers.web.url}/?view=yesterday&priority=urgent&sort=random&utm_source=news`);
  await expect.poll(() => titles(page)).toEqual(shopping.map(({ title }) => title));
  await close();
});

test("a search waits for a pause between the keys, and its refinements are one step of the history", async () => {
  const { page, close } = await visit(shopping);
  await results(page).getByText("4 tasks", { exact: true }).waitFor();
  await page.clock.install();
  await page.reload();
  await view(page, "All", 4).waitFor();
  await page.clock.pauseAt(Date.now() + 3600_000);
  const { lists, counts } = watchQueries(page);
  await search(page).pressSequentially("milk");
  await page.clock.runFor(299);
  expect(lists).toEqual([]);
  await page.clock.runFor(1);
  await expect.poll(() => titles(page)).toEqual(["Buy milk", "Buy bread"]);
  await view(page, "All", 2).waitFor();
  expect(lists.map((query) => query.get("q"))).toEqual(["milk"]);
  expect(counts.map((query) => query.get("q"))).toEqual(Array(5).fill("milk"));

  await search(page).press("Backspace");
  await search(page).press("Backspace");
  await search(page).press("Enter");
  await expect.poll(() => page.url()).toBe(`${servers.web.url}/?q=mi`);
  expect(lists.map((query) => query.get("q"))).toEqual(["milk", "mi"]);
  await page.goBack();
  expect(page.url()).toBe(`${servers.web.url}/`);
  expect(await search(page).inputValue()).toBe("");
  // The keys before the step back have no effect any more.
  await page.clock.runFor(10_000);
  expect(page.url()).toBe(`${servers.web.url}/`);
  await close();
});

test("the tasks with the highest priority can come first", async () => {
  const { page, close } = await visit(shopping);
  await order(page).selectOption("Highest priority");
  await expect.poll(() => titles(page)).toEqual(["Buy milk", "Call Zoë", "Buy bread", "Water the plants"]);
  expect(page.url()).toBe(`${servers.web.url}/?sort=priority`);
  await close();
});

test("a tag filters the list: from a task, from the suggestions, or typed", async () => {
  const { page, close } = await visit(shopping);
  await row(page, "Call Zoë").getByRole("link", { name: "Tag: friends" }).click();
  await expect.poll(() => titles(page)).toEqual(["Call Zoë"]);
  expect(await tagFilter(page).inputValue()).toBe("friends");

  const suggested = page.locator("datalist option");
  expect(await suggested.evaluateAll((all) => all.map((one) => (one as HTMLOptionElement).value))).toEqual([
    "friends",
    "home",
    "shop",
  ]);
  await tagFilter(page).fill("home");
  await expect.poll(() => titles(page)).toEqual(["Buy bread", "Water the plants"]);
  await tagFilter(page).fill("unheard of");
  await tagFilter(page).press("Enter");
  await page.getByText("No task has the tag “unheard of”.").waitFor();
  expect(page.url()).toBe(`${servers.web.url}/?tag=unheard+of`);
  await close();
});

test("an empty list says why, and its button clears the filters", async () => {
  const { page, close } = await visit([]);
  await page.getByText("No tasks yet. Add your first one above.").waitFor();
  await results(page).getByText("0 tasks", { exact: true }).waitFor();
  expect(await page.getByRole("button", { name: "Clear filters" }).count()).toBe(0);
  for (const [name, text] of [
    ["Pending", "Nothing is pending. All done."],
    ["Today", "Nothing is due today."],
    ["Overdue", "Nothing is overdue."],
    ["Upcoming", "Nothing is due after today."],
    ["Completed", "Nothing is completed yet."],
  ] as const) {
    await view(page, name).click();
    await page.getByText(text, { exact: true }).waitFor();
  }
  await view(page, "All").click();
  await add(page, "Buy milk");

  await page.goto(`${servers.web.url}/?view=pending&q=zebra&tag=zoo&priority=high`);
  await page.getByText("No task in “Pending” has the text “zebra”, the tag “zoo”, and the priority high.").waitFor();
  // What the next search finds is not said before it is known.
  const held = await hold(page, /q=horse/);
  await search(page).fill("horse");
  await page.getByRole("status", { name: "Loading tasks" }).waitFor();
  expect(await page.getByText("No task in").count()).toBe(0);
  expect(await results(page).textContent()).toBe("");
  held.release();
  await page.getByText("No task in “Pending” has the text “horse”").waitFor();
  await page.getByRole("button", { name: "Clear filters" }).press("Enter");
  await expect.poll(() => titles(page)).toEqual(["Buy milk"]);
  expect(page.url()).toBe(`${servers.web.url}/?view=pending`);
  expect(await search(page).inputValue()).toBe("");
  expect(await focused(page).textContent()).toBe("Your tasks");
  await close();
});

test("each view has its number of tasks, which follows changes and filters without a storm of requests", async () => {
  const { page, close } = await visit(shopping);
  await view(page, "All", 4).waitFor();
  await view(page, "Pending", 3).waitFor();
  await view(page, "Completed", 1).waitFor();
  await view(page, "Overdue", 0).waitFor();

  const { lists, counts } = watchQueries(page);
  // All three changes are on their way before the first is answered.
  const held = await hold(page, "**/complete");
  for (const name of ["Buy milk", "Buy bread", "Call Zoë"]) await page.getByRole("checkbox", { name }).click();
  await expect.poll(held.number).toBe(3);
  expect([lists, counts]).toEqual([[], []]);
  held.release();
  await view(page, "Pending", 0).waitFor();
  await view(page, "Completed", 4).waitFor();
  expect(lists.length).toBeLessThanOrEqual(3);
  expect(counts).toHaveLength(5);

  await tagFilter(page).fill("shop");
  await view(page, "All", 2).waitFor();
  await view(page, "Completed", 2).waitFor();
  await close();
});

test("more tasks can be loaded by keyboard, also after an error, and the focus goes on to the first of them", async () => {
  const many = Array.from({ length: 25 }, (_, n) => ({ title: `Task ${n + 1}` }));
  const { page, close } = await visit(many);
  await results(page).getByText("25 tasks", { exact: true }).waitFor();
  expect(await titles(page)).toHaveLength(20);
  await page.route(/cursor=/, (route) => route.abort());
  await page.getByRole("button", { name: "Load more" }).press("Enter");
  await page.getByRole("alert").filter({ hasText: "The server cannot be reached." }).waitFor();
  await page.unroute(/cursor=/);
  await page.getByRole("button", { name: "Try again" }).press("Enter");
  await expect.poll(() => titles(page)).toEqual(many.map(({ title }) => title));
  expect(await page.getByRole("button", { name: "Load more" }).count()).toBe(0);
  await expect
    .poll(() => focused(page).evaluate((box: HTMLInputElement) => box.labels?.[0]?.textContent))
    .toBe("Task 21");
  await page.getByRole("status").filter({ hasText: "More tasks are shown." }).waitFor();
  await close(/ERR_FAILED/);
});

test("a search goes on where the server ends a page early, and counts that it does not have are not shown", async () => {
  const { page, close } = await visit([]);
  const { id } = await identity(page);
  // Newest first, and each request looks at 10,000 tasks.
  await servers.api.addTasks(1, id, "An old needle");
  await servers.api.addTasks(20_500, id, "hay");
  await create(page, servers.api, [{ title: "A new needle" }]);

  await page.goto(`${servers.web.url}/?q=needle`);
  await expect.poll(() => titles(page)).toEqual(["A new needle"]);
  await results(page).getByText("1 task so far", { exact: true }).waitFor();
  await view(page, "Completed", 0).waitFor();
  for (const name of ["All", "Pending", "Today", "Overdue", "Upcoming"]) {
    expect(await view(page, name).textContent()).toBe(`${name} `);
  }
  await page.getByRole("button", { name: "Load more" }).click();
  await expect.poll(() => titles(page)).toEqual(["A new needle", "An old needle"]);
  await results(page).getByText("2 tasks", { exact: true }).waitFor();
  expect(await page.getByRole("button", { name: "Load more" }).count()).toBe(0);

  await search(page).fill("old");
  await expect.poll(() => titles(page)).toEqual(["An old needle"]);
  await search(page).fill("no such thing");
  await page.getByText("No task has the text “no such thing”.").waitFor();
  await close();
});

test("everything fits on a phone", async () => {
  const long = "w".repeat(50);
  const task = {
    title: "x".repeat(255),
    description: "y".repeat(1000),
    priority: "high",
    tags: [long, `${long}`.slice(1)],
  };
  const due = { due_date: "2026-01-01T00:00:00Z" };
  const { page, close } = await visit([{ ...task, ...due }], { viewport: { width: 360, height: 740 } });
  const fits = async () =>
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await row(page, "xxx").waitFor();
  await view(page, "Completed", 0).waitFor();
  await fits();
  await page.getByText("Description, due date, priority and tags").click();
  await page.getByRole("button", { name: /^Edit/ }).click();
  await page.getByRole("form", { name: /^Edit/ }).waitFor();
  await fits();
  await page.getByRole("form", { name: /^Edit/ }).getByRole("button", { name: "Cancel" }).click();
  await search(page).fill("z".repeat(100));
  await page.getByRole("button", { name: "Clear filters" }).waitFor();
  await fits();
  await close();
});
