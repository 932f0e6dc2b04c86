// SPDX-License-Identifier: Apache-2.0

// Chromium as a client: prints what a page saw, as JSON.
//
//   node browser.mjs MODULES BASE websocket
//   node browser.mjs MODULES BASE grpc-web

import { createRequire } from "node:module";
import { join } from "node:path";

const [modules, base, what] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, "x.js"))("playwright-core");

const talks = {
  websocket: async () => {
    const { talk } = await import("/talk.js");
    const open = (path, protocols) =>
      new WebSocket(location.origin.replace("http", "ws") + path, protocols);
    const ask = async (path) => (await fetch(path)).json();
    return talk(open, ask, `page${Date.now()}`);
  },
  "grpc-web": async () => {
    const [{ talk }, web] = await Promise.all([import("/web-talk.js"), import("/grpc-web.js")]);
    return { binary: await talk(web, "binary"), text: await talk(web, "text") };
  },
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
  ],
});
const context = await browser.newContext({ ignoreHTTPSErrors: true });
const page = await context.newPage();
await page.goto(`${base}/page`);
const seen = await page.evaluate(talks[what]);
const { nextHopProtocol } = await page.evaluate(() =>
  performance.getEntriesByType("navigation")[0].toJSON(),
);
await browser.close();
process.stdout.write(JSON.stringify({ protocol: nextHopProtocol, seen }), () => process.exit(0));
