/** The front end of examples/web: its server, and the actions of a person. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Locator, Page } from "playwright-core";

const main = fileURLToPath(new URL("../../examples/web/dist/server/main.js", import.meta.url));

export interface Web {
  readonly url: string;
  stop(): Promise<void>;
}

/** A free port. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
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

/** The titles in the list, from top to bottom. */
export function titles(page: Page): Promise<(string | null)[]> {
  const boxes = page.getByRole("list", { name: "Tasks" }).getByRole("checkbox");
  return boxes.evaluateAll((all) => all.map((box) => (box as HTMLInputElement).labels?.[0]?.textContent ?? null));
}
