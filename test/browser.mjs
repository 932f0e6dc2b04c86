// SPDX-License-Identifier: Apache-2.0

// Starts a headless Chromium that asks nobody but whom a test has it ask.
//
// `chromium` is playwright-core's, which each test installs where it looks for its packages.

const standard = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const launch = (chromium, ...more) =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [...standard, ...more],
  });
