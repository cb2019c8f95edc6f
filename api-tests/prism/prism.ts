/** Prism between a client and the server: it validates requests and answers against the document. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface Prism {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts it on a free port. */
export async function startPrism(document: string, upstream: string, ...options: string[]): Promise<Prism> {
  const prism = fileURLToPath(new URL("../../node_modules/.bin/prism", import.meta.url));
  const child = spawn(process.execPath, [prism, "proxy", document, upstream, "--port", "0", ...options], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const log: string[] = [];
  createInterface(child.stderr).on("line", (line) => log.push(line));
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on("line", (line) => {
      log.push(line);
      const address = line.match(/listening on (http:\S+)/)?.[1];
      if (address) resolve(address);
    });
    child.once("close", () => reject(new Error(["Prism ended before it listened", ...log].join("\n"))));
  });
  return {
    url,
    async stop() {
      process.off("exit", kill);
      kill();
      await ended;
    },
  };
}

/** The violations of an answer. Those of its request are left out. */
export function violations(answer: Response): string[] {
  const all: { location: string[]; message: string }[] = JSON.parse(answer.headers.get("sl-violations") ?? "[]");
  return all
    .filter(({ location }) => location[0] === "response")
    .map(({ location, message }) => `${location.join("/")}: ${message}`);
}
