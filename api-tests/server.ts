/** A real server process on a fresh SQLite database. */

import { spawn } from "node:child_process";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const program = process.env.TODO_API ?? fileURLToPath(new URL("../target/debug/todo-api", import.meta.url));

export interface Server {
  url: string;
  stop(): Promise<void>;
}

/** Starts `todo-api serve` with these variables and no others. */
export async function startServer(environment: Record<string, string>): Promise<Server> {
  await access(program).catch(() => {
    throw new Error(`${program} is missing: build it with \`cargo build\`, or name it in TODO_API`);
  });
  const folder = await mkdtemp(join(tmpdir(), "todo-api-"));
  const child = spawn(program, ["serve"], {
    cwd: folder,
    env: { DATABASE_URL: "sqlite://todo.db?mode=rwc", PORT: "0", LOG_FORMAT: "json", ...environment },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const log: string[] = [];
  const address = await new Promise<string>((resolve, reject) => {
    createInterface(child.stderr).on("line", (line) => {
      log.push(line);
      const { message, address } = line.startsWith("{") ? JSON.parse(line) : {};
      if (message === "listening") resolve(address);
    });
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${log.join("\n")}`)));
  });
  return {
    url: `http://${address}`,
    async stop() {
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}
