import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));

/** Checks files, anchors and images without a network. */
function check(files: string[], cwd: string) {
  const options = ["--use", `${root}node_modules/remark-validate-links/index.js=repository:false`];
  const remark = `${root}node_modules/.bin/remark`;
  return run(remark, [...files, ...options, "--no-config", "--no-stdout", "--quiet", "--frail"], { cwd });
}

let files: string[];
let guides: string[];

beforeAll(async () => {
  const { stdout } = await run("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: root });
  files = stdout.trimEnd().split("\n");
  guides = files.filter((file) => file.endsWith(".md"));
});

test("every relative link and anchor of the guides has a target", async () => {
  expect(guides).toContain("README.md");
  await check(guides, root);
});

test("the check finds broken links", async () => {
  const folder = await mkdtemp(join(tmpdir(), "links-"));
  const broken = async (text: string) => {
    await writeFile(join(folder, "a.md"), text);
    const { stderr } = await check(["a.md", "b.md"], folder).catch((error: { stderr: string }) => error);
    return [...stderr.matchAll(/\d+ warnings?/g)].join();
  };
  await writeFile(join(folder, "b.md"), "# Here\n");
  expect(await broken("[b](b.md#here), [b](./b.md) and [web](https://example.com/nowhere)")).toBe("");
  for (const link of ["[b](c.md)", "[b](b.md#there)", "[b](#there)", "![b](b.png)", "[b][]\n\n[b]: ../c.md"]) {
    expect(await broken(link), link).toBe("1 warning");
  }
  await rm(folder, { recursive: true });
});

test("every file and folder in the guides for developers exists", async () => {
  const developers = guides.filter((guide) => guide.startsWith("docs/") || /^[A-Z]+\.md$/.test(guide));
  // Short paths such as `jwks.rs` and `db/postgres/` must match one file or folder.
  const exists = (name: string) => files.some((file) => `/${file}`.includes(`/${name}`));
  const missing = developers.map(async (guide) => {
    const text = await readFile(root + guide, "utf8");
    const names = [...text.matchAll(/`([\w.][\w./-]*(?:\/|\.(?:rs|sql|yaml|js)))`/g)].map(([, name]) => name!);
    return names.filter((name) => !exists(name)).map((name) => `${guide}: ${name}`);
  });
  expect((await Promise.all(missing)).flat()).toEqual([]);
});
