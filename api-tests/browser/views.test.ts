import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, open } from "./browser.ts";
import { create, row, signUp, start, stopAll, titles, view } from "./web.ts";

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

/** The time so many minutes after another one. */
const after = (time: string, minutes: number) => new Date(Date.parse(time) + minutes * 60_000).toISOString();

test.each([
  ["Europe/Berlin", "a day of 23 hours", "2027-03-28T08:00:00Z", "2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z"],
  ["Europe/Berlin", "a day of 25 hours", "2027-10-31T08:00:00Z", "2027-10-30T22:00:00Z", "2027-10-31T23:00:00Z"],
  [
    "America/Santiago",
    "a day without a midnight",
    "2027-09-05T15:00:00Z",
    "2027-09-05T04:00:00Z",
    "2027-09-06T03:00:00Z",
  ],
  ["Pacific/Kiritimati", "a day ahead of UTC", "2027-06-01T20:00:00Z", "2027-06-01T10:00:00Z", "2027-06-02T10:00:00Z"],
])("in %s, %s has its own tasks", async (timezoneId, day, now, begin, end) => {
  const { page, close } = await open(browser, { timezoneId });
  await page.goto(servers.web.url);
  await signUp(page, `${timezoneId} ${day}`.replace(/\W/g, "-"));
  await create(page, servers.api, [
    { title: "done", completed: true, due_date: now },
    { title: "undated" },
    { title: "yesterday", due_date: after(begin, -1) },
    { title: "first thing", due_date: begin },
    { title: "just missed", due_date: after(now, -1) },
    { title: "next", due_date: after(now, 1) },
    { title: "last thing", due_date: after(end, -1) },
    { title: "tomorrow", due_date: end },
    { title: "next year", due_date: after(end, 366 * 24 * 60) },
  ]);
  await page.clock.setFixedTime(now);
  await page.reload();
  for (const [name, found] of [
    ["Today", ["first thing", "just missed", "next", "last thing"]],
    ["Overdue", ["yesterday", "first thing", "just missed"]],
    ["Upcoming", ["tomorrow", "next year"]],
    ["Completed", ["done"]],
  ] as const) {
    await view(page, name, found.length).click();
    await expect.poll(() => titles(page)).toEqual(found);
  }
  await view(page, "All", 9).click();
  await row(page, "undated").waitFor();
  const overdue = page.getByRole("listitem").filter({ hasText: "Overdue" });
  expect(await overdue.count()).toBe(3);
  await close();
});

test("a task that is completed leaves its view, and the focus and the numbers follow", async () => {
  const { page, close } = await open(browser);
  await page.goto(servers.web.url);
  await signUp(page, "ada");
  const minute = 60_000;
  await create(page, servers.api, [
    { title: "Renew the passport", due_date: new Date(Date.now() - minute).toISOString() },
  ]);
  await page.goto(`${servers.web.url}/?view=overdue`);
  await view(page, "Overdue", 1).waitFor();
  await page.getByRole("checkbox", { name: "Renew the passport" }).press("Space");
  await page.getByText("Nothing is overdue.").waitFor();
  await view(page, "Overdue", 0).waitFor();
  await view(page, "Completed", 1).waitFor();
  expect(await page.locator(":focus").textContent()).toBe("Your tasks");
  await close();
});
