/** The front end of examples/web: its server, and the actions of a person. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Locator, Page } from "playwright-core";
import { type Server, startServer } from "../server.ts";

const main = fileURLToPath(new URL("../../examples/web/dist/server/main.js", import.meta.url));

export interface Web {
  readonly url: string;
  stop(): Promise<void>;
}

let next = process.pid * 16;

/**
 * A free port. It is outside the range from which the system gives ports to others, so nobody takes it before its use.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + (next++ % 10_000);
    const server = createServer().listen(port, "127.0.0.1");
    const isFree = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (isFree) {
      await new Promise((resolve) => server.close(resolve));
      return port;
    }
  }
}

/** Starts the built front end. Its API may start later. */
export async function startWeb(port: number, environment: Record<string, string>): Promise<Web> {
  const folder = await mkdtemp(join(tmpdir(), "todo-web-"));
  const env = { ...environment, PATH: process.env.PATH ?? "", PORT: String(port) };
  const child = spawn(process.execPath, [main], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  await new Promise<void>((resolve, reject) => {
    createInterface(child.stdout).once("line", () => resolve());
    child.once("exit", (code) => reject(new Error(`examples/web ended with ${code}; is it built? npm run build`)));
  });
  return {
    url: `http://localhost:${port}`,
    async stop() {
      child.kill();
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

const running: { stop(): Promise<void> }[] = [];

/** The API and the front end, each on its own origin. */
export async function start(webEnvironment: Record<string, string> = {}) {
  const [apiPort, webPort] = [await freePort(), await freePort()];
  const origin = `http://localhost:${webPort}`;
  const web = await startWeb(webPort, { ...webEnvironment, API_URL: `http://127.0.0.1:${apiPort}` });
  const startApi = async () => {
    const environment = { BETTER_AUTH_SECRET: "", BETTER_AUTH_URL: origin, CORS_ORIGINS: origin };
    const api = await startServer({ ...environment, PORT: String(apiPort) });
    running.push(api);
    return api;
  };
  running.push(web);
  return { web, api: await startApi(), startApi };
}

export async function stop(server: Server): Promise<void> {
  running.splice(running.indexOf(server), 1);
  await server.stop();
}

export async function stopAll(): Promise<void> {
  for (const process of running.splice(0).reverse()) await process.stop();
}

/** The id and the token of the person who is signed in. */
export async function identity(page: Page): Promise<{ id: string; token: string }> {
  const get = async (path: string) => (await page.request.get(new URL(path, page.url()).href)).json();
  const [{ user }, { token }] = [await get("/api/auth/get-session"), await get("/api/auth/token")];
  return { id: user.id, token };
}

/** Creates tasks of the person who is signed in, the first one first, without the page. */
export async function create(page: Page, api: Server, tasks: { title: string; [field: string]: unknown }[]) {
  const { token } = await identity(page);
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  for (const task of tasks) {
    const answer = await fetch(`${api.url}/api/tasks`, { method: "POST", headers, body: JSON.stringify(task) });
    if (answer.status !== 201) throw new Error(await answer.text());
  }
}

export const PASSWORD = "correct horse battery staple";

export async function signUp(page: Page, name: string): Promise<void> {
  await page.getByRole("button", { name: "Create an account" }).click();
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Email").fill(`${name}@example.com`);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("heading", { name: "Your tasks" }).waitFor();
}

export async function signIn(page: Page, name: string, password = PASSWORD): Promise<void> {
  await page.getByLabel("Email").fill(`${name}@example.com`);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

export async function add(page: Page, title: string): Promise<void> {
  const form = page.getByRole("form", { name: "Add a task" });
  await form.getByLabel("Title").fill(title);
  await form.getByRole("button", { name: "Add task" }).click();
  await row(page, title).waitFor();
}

export function row(page: Page, title: string): Locator {
  return page.getByRole("list", { name: "Tasks" }).getByRole("listitem").filter({ hasText: title });
}

/** The link to a view; with `tasks`, only while it has this number beside it. */
export function view(page: Page, name: string, tasks?: number): Locator {
  const number = tasks === undefined ? "( \\d+ tasks?)?" : ` ${tasks} tasks?`;
  return page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: new RegExp(`^${name}${number}$`) });
}

/** What the page says about the number of tasks. */
export function results(page: Page): Locator {
  return page.getByRole("status", { name: "Results" });
}

/** The titles in the list, from top to bottom. */
export function titles(page: Page): Promise<(string | null)[]> {
  const boxes = page.getByRole("list", { name: "Tasks" }).getByRole("checkbox");
  return boxes.evaluateAll((all) => all.map((box) => (box as HTMLInputElement).labels?.[0]?.textContent ?? null));
}
