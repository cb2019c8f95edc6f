/** A real browser that may connect only to this machine. Any error in it fails the test. */

import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { expect } from "vitest";

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

export interface Watched {
  context: BrowserContext;
  page: Page;
  /** Console errors, uncaught exceptions, and violations of a Content-Security-Policy so far. */
  complaints: string[];
  /** Fails on other complaints, and on a request to another machine. */
  close(allowed?: RegExp): Promise<void>;
}

/** A window of one user. It shares no cookies and no storage. */
export async function open(browser: Browser, options: Parameters<Browser["newContext"]>[0] = {}): Promise<Watched> {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  const hosts = new Set<string>();
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`${message.text()} at ${message.location().url}`);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol.startsWith("http")) hosts.add(hostname);
  });
  return {
    context,
    page,
    complaints,
    async close(allowed) {
      await context.close();
      expect(complaints.filter((complaint) => !allowed?.test(complaint))).toEqual([]);
      expect([...hosts].filter((host) => host !== "localhost" && host !== "127.0.0.1")).toEqual([]);
    },
  };
}
