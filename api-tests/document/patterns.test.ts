import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { INSTALL_TIMEOUT, python } from "../python.ts";
import { program } from "../server.ts";

const run = promisify(execFile);

type Faults = Record<string, string>;

let compile: (script: string, input: string) => Promise<string>;

beforeAll(async () => {
  compile = await python(new URL("patterns/", import.meta.url));
}, INSTALL_TIMEOUT);

/** What the regular expressions of Go, and of many other tools, say. */
async function re2(patterns: string[]): Promise<Faults> {
  return JSON.parse(await compile("compile.py", JSON.stringify(patterns)));
}

/** What browsers and Node.js say: JSON Schema asks for the flag `u`, and many validators leave it out. */
function ecmascript(patterns: string[]): Faults {
  const faults: Faults = {};
  for (const pattern of patterns) {
    for (const flag of ["u", ""]) {
      try {
        new RegExp(pattern, flag);
      } catch (error) {
        faults[pattern] = `${error}`;
      }
    }
  }
  return faults;
}

function patternsOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) =>
    key === "pattern" && typeof member === "string" ? [member] : patternsOf(member),
  );
}

test.each(["3.1", "3.0"])("RE2 and ECMAScript compile all patterns of OpenAPI %s", async (version) => {
  const { stdout } = await run(program, ["openapi", "--version", version, "--format", "json"]);
  const patterns = patternsOf(JSON.parse(stdout));
  expect(patterns).toHaveLength(stdout.split('"pattern":').length - 1);
  expect(patterns.length).toBeGreaterThan(5);
  expect(await re2(patterns)).toEqual({});
  expect(ecmascript(patterns)).toEqual({});
});

test("a pattern that only some engines compile is found", async () => {
  const patterns = ["^[^\\x00]*$", "^[^\\u0000]*$", "^(?!a)", "\\z", "\\-", "("];
  expect(Object.keys(await re2(patterns))).toEqual(["^[^\\u0000]*$", "^(?!a)", "("]);
  expect(Object.keys(ecmascript(patterns))).toEqual(["\\z", "\\-", "("]);
});
