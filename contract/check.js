/**
 * Compares openapi.yaml with the newest release of the contract in this folder, and fails if a change would break clients
 * of that release.
 */

import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/**
 * The used parts of the report of `redocly diff`.
 *
 * @typedef {"major" | "minor" | "patch"} Impact
 * @typedef {{ file: string, pointer: string, line: number, value?: unknown }} Place
 * @typedef {{ ruleId: string, impact: Impact, message: string, location: Place }} Verdict
 * @typedef {{ typeName: string, property?: string, verdicts: Verdict[], base?: Place, revision?: Place }} Change
 * @typedef {{ infoVersions: { base: string, revision: string }, bump?: Impact, changes: Change[] }} Report
 */

/**
 * A change that breaks clients, identified by `rule`, `pointer` and `message`.
 *
 * @typedef {{ rule: string, pointer: string, message: string }} Breakage
 * @typedef {Breakage & { reason: string }} Accepted
 */

const here = dirname(fileURLToPath(import.meta.url));
const redocly = createRequire(import.meta.url).resolve("@redocly/cli/bin/cli.js");

/**
 * Changes that break clients and for which `redocly diff` has no rule.
 *
 * @param {Change} change
 * @returns {Verdict[]}
 */
function judge({ typeName, property, base, revision }) {
  if (!base || !revision) return [];
  if (typeName === "Schema" && property === "default" && base.pointer.endsWith("/default")) {
    const [was, is] = [base, revision].map(({ value }) => JSON.stringify(value));
    const message = is === undefined ? `The default is no longer ${was}.` : `The default changed from ${was} to ${is}.`;
    return [{ ruleId: "default-changed", impact: "major", message, location: revision }];
  }
  if (typeName === "Header" && property === "required" && base.value === true) {
    const message = "The response header is no longer required.";
    return [{ ruleId: "response-header-became-optional", impact: "major", message, location: revision }];
  }
  return [];
}

/**
 * @param {string} released
 * @param {string} current
 */
export async function compare(released, current) {
  const options = ["--format=json", "--fail-on=none", "--lint-config=error", "--config", join(here, "redocly.yaml")];
  const { stdout } = await promisify(execFile)(process.execPath, [redocly, "diff", released, current, ...options], {
    env: { ...process.env, REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" },
    maxBuffer: Infinity,
  });
  /** @type {Report} */
  const { infoVersions, bump, changes } = JSON.parse(stdout);
  const verdicts = changes.flatMap((change) => [...change.verdicts, ...judge(change)]);
  const breakages = verdicts
    .filter(({ impact }) => impact === "major")
    .map(({ ruleId, message, location: { file, line, pointer } }) => ({ rule: ruleId, pointer, message, file, line }));
  return { versions: infoVersions, impact: breakages.length > 0 ? "major" : bump, breakages };
}

/**
 * The lowest version for such a change. Before 1.0.0, a minor version may break clients.
 *
 * @param {string} released
 * @param {string | undefined} impact
 */
function next(released, impact) {
  const [major = 0, minor = 0, patch = 0] = released.split(".").map(Number);
  if (impact === undefined) return released;
  if (impact === "patch") return `${major}.${minor}.${patch + 1}`;
  return impact === "major" && major > 0 ? `${major + 1}.0.0` : `${major}.${minor + 1}.0`;
}

/**
 * @param {string} a
 * @param {string} b
 */
const byVersion = (a, b) => a.localeCompare(b, "en", { numeric: true });

/**
 * Compares `document` with the releases and accepted breakages in `folder`. Returns the problems and the notes.
 *
 * @param {string} folder
 * @param {string} document
 */
export async function check(folder, document) {
  const releases = (await readdir(folder)).flatMap((name) => /^(\d+\.\d+\.\d+)\.yaml$/.exec(name)?.[1] ?? []);
  const released = releases.sort(byVersion).at(-1);
  if (released === undefined) throw new Error(`${folder} holds no release`);
  const list = join(folder, "accepted.json");
  /** @type {Accepted[]} */
  const accepted = JSON.parse(await readFile(list, "utf8"));
  const { versions, impact, breakages } = await compare(join(folder, `${released}.yaml`), document);

  /** @param {Breakage} a @returns {(b: Breakage) => boolean} */
  const same = (a) => (b) => a.rule === b.rule && a.pointer === b.pointer && a.message === b.message;
  const open = breakages.filter((breakage) => !accepted.some(same(breakage)));
  const lowest = next(released, impact);
  const name = relative(process.cwd(), list);

  const errors = [
    ...open.map(({ rule, pointer, message, file, line }) => `${message} (${rule})\n  ${pointer}\n  ${file}:${line}`),
    ...accepted
      .filter((entry) => !breakages.some(same(entry)))
      .map(
        ({ rule, pointer, message }) =>
          `${name} accepts what is not so; take it out: ${message} (${rule})\n  ${pointer}`,
      ),
    ...accepted
      .filter(({ reason }) => !reason?.trim())
      .map(({ rule, pointer, message }) => `${name} gives no reason for this: ${message} (${rule})\n  ${pointer}`),
  ];
  if (versions.base !== released) {
    errors.push(`${released}.yaml calls itself ${versions.base}: a release is never changed.`);
  }
  if (versions.revision !== released && byVersion(versions.revision, lowest) < 0) {
    errors.push(`The version went from ${released} to ${versions.revision}, but the changes need ${lowest} or later.`);
  }

  const notes = [];
  if (open.length > 0) {
    const entries = open.map(({ rule, pointer, message }) => ({ rule, pointer, message, reason: "" }));
    notes.push(
      `Take back what breaks the clients of ${released}. What must be goes into ${name}, with a reason to review:\n` +
        JSON.stringify(entries, null, 2),
    );
  }
  if (impact !== undefined) {
    notes.push(
      `The next version is ${lowest} or later. To release it: set it in Cargo.toml, run \`make openapi\`, ` +
        `copy openapi.yaml to contract/<version>.yaml, and empty accepted.json.`,
    );
  }
  return { errors, notes, summary: `${released} to now: ${breakages.length} breaking, ${accepted.length} accepted.` };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder = here, document = join(here, "../openapi.yaml")] = process.argv.slice(2);
  const { errors, notes, summary } = await check(folder, document);
  for (const text of [...errors, ...notes, summary]) console.log(`${text}\n`);
  process.exitCode = errors.length > 0 ? 1 : 0;
}
