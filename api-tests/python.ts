/** Runs scripts in Python with the packages of a requirements file. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

/** Making an environment downloads packages. */
export const INSTALL_TIMEOUT = 600_000;

async function run(program: string, arguments_: string[], input = "", environment = {}): Promise<string> {
  const child = spawn(program, arguments_, { env: { ...process.env, ...environment } });
  child.stdin.end(input);
  const [stdout, stderr, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  if (status !== 0) throw new Error(`${[program, ...arguments_].join(" ")} ends with ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** Makes the environment if it is missing, and returns what runs a script of the folder in it. */
export async function python(folder: URL) {
  const path = (name: string) => fileURLToPath(new URL(name, folder));
  const scripts = fileURLToPath(new URL("../scripts/", import.meta.url));
  const environment = (await run(`${scripts}venv`, [path("requirements.txt")])).trim();
  return (script: string, input?: string, variables?: Record<string, string>) =>
    run(`${environment}/bin/python`, [path(script)], input, variables);
}
