/** A real server process on a fresh SQLite database. */

import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { SignJWT } from "jose";

/** The debug build, or the binary in the variable TODO_API. */
export const program = resolve(
  process.env.TODO_API ?? fileURLToPath(new URL("../target/debug/todo-api", import.meta.url)),
);

export interface Server {
  readonly url: string;
  /** Signs a token like the auth server. It expires after this many seconds. */
  token(user: string, lifetime?: number): Promise<string>;
  /**
   * Writes this many tasks of a user into the file, newer than the last ones written so and older than those of the API.
   * Creating thousands through the API would take too long.
   */
  addTasks(number: number, user: string, title: string): Promise<void>;
  /** Ends the process and removes its data. */
  stop(): Promise<void>;
}

const ADD_TASKS = `
import sqlite3, sys
file, number, user, title = sys.argv[1:]
with sqlite3.connect(file, timeout=60) as database:
    database.execute("INSERT INTO users (id, created_at) VALUES (?, 0) ON CONFLICT DO NOTHING", (user,))
    [first] = database.execute("SELECT count(*) FROM tasks").fetchone()
    ids = (bytes.fromhex("0190000000007000") + (2**63 + first + n).to_bytes(8, "big") for n in range(int(number)))
    database.executemany(
        "INSERT INTO tasks (user_id, id, title, title_key, completed, version, created_at, updated_at)"
        "VALUES (?, ?, ?, ?, FALSE, 1, 0, 0)",
        ((user, id, title, title.lower()) for id in ids),
    )
`;

/**
 * Starts `todo-api serve` on a free port, by default with a new SQLite file and a new secret. The given environment may
 * change this.
 */
export async function startServer(environment: Record<string, string> = {}): Promise<Server> {
  const directory = await mkdtemp(join(tmpdir(), "todo-api-"));
  const secret = randomBytes(33).toString("base64");
  const env = {
    BETTER_AUTH_SECRET: secret,
    DATABASE_URL: `sqlite://${directory}/todo.db?mode=rwc`,
    PORT: "0",
    ...environment,
  };
  const child = spawn(program, ["serve"], { cwd: directory, env, stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(child, "close");
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);

  const log: string[] = [];
  let listens = "";
  const address = new Promise<string>((resolve, reject) => {
    child.once("error", (cause) => {
      reject(
        new Error(`${program} does not start: run \`cargo build --bin todo-api\`, or set TODO_API to the binary`, {
          cause,
        }),
      );
    });
    createInterface(child.stderr)
      .on("line", (line) => {
        log.push(line);
        const entry = line.startsWith("{") ? JSON.parse(line) : {};
        if (entry.message === "listening") listens = entry.address;
        // The database of a test may be unavailable.
        if (entry.message === "ready" || entry.target === "todo_api::db::outage") resolve(listens);
      })
      .once("close", () => reject(new Error(["todo-api ended before it was ready", ...log].join("\n"))));
  });

  async function stop() {
    child.kill();
    await ended.catch(() => undefined);
    process.off("exit", kill);
    await rm(directory, { recursive: true });
  }

  try {
    return {
      url: `http://${await address}`,
      token(user, lifetime = 900) {
        const claims = new SignJWT().setProtectedHeader({ alg: "HS256" }).setSubject(user);
        return claims
          .setExpirationTime(Math.floor(Date.now() / 1000) + lifetime)
          .sign(new TextEncoder().encode(env.BETTER_AUTH_SECRET));
      },
      async addTasks(number, user, title) {
        await promisify(execFile)("python3", ["-c", ADD_TASKS, `${directory}/todo.db`, `${number}`, user, title]);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
