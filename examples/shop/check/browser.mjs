// SPDX-License-Identifier: Apache-2.0

// A real browser that the check drives: one JSON command per line on standard
// input, one JSON answer per line on standard output. Each customer has a
// context of their own, as if they sat at different machines.
//
//   {"do":"visit","customer":"acme"}   logs in when needed, loads the page, says what it shows
//   {"do":"reload","customer":"acme"}  loads it again
//   {"do":"order","customer":"acme"}   presses the button that places an order
//   {"do":"logout","customer":"acme"}
//
//   node browser.mjs http://127.0.0.1:8000

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const gateway = process.argv[2];
const shop = `${gateway}/apps/shop/`;
const deadline = 20_000;
const people = new Map();

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
  ],
});

async function personFor(customer) {
  let person = people.get(customer);
  if (!person) {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(deadline);
    person = { context, page, seen: [], errors: [] };
    page.on("response", (response) => person.seen.push(response));
    page.on("pageerror", (error) => person.errors.push(String(error)));
    page.on("console", (message) => {
      // Browsers ask for an icon that no release has.
      const isIcon = message.location().url.endsWith("/favicon.ico");
      if (message.type() === "error" && !isIcon) person.errors.push(message.text());
    });
    people.set(customer, person);
  }
  person.seen = [];
  person.errors = [];
  return person;
}

async function load(person) {
  person.seen = [];
  await person.page.goto(shop, { waitUntil: "load" });
  await settled(person.page);
}

// The page says itself when session and orders are there; an error ends the wait too.
async function settled(page) {
  await page.waitForSelector('main[data-ready="true"], #error');
}

async function visit(customer) {
  const person = await personFor(customer);
  await load(person);
  const { page } = person;
  if (await page.locator("#login").count()) {
    await page.fill("#customer-name", customer);
    person.seen = [];
    await Promise.all([page.waitForEvent("load"), page.click("#login button")]);
    await settled(page);
  }
  return report(person);
}

async function reload(customer) {
  const person = await personFor(customer);
  await load(person);
  return report(person);
}

async function order(customer) {
  const person = await personFor(customer);
  const before = await person.page.locator("#orders tbody tr, #orders li").count();
  await person.page.click("#order");
  await person.page.locator("#orders tbody tr, #orders li").nth(before).waitFor();
  return report(person);
}

async function logout(customer) {
  const person = await personFor(customer);
  await Promise.all([person.page.waitForEvent("load"), person.page.click("#logout")]);
  await person.page.waitForSelector("#login");
  return report(person);
}

const text = async (page, selector) =>
  (await page.locator(selector).count()) ? await page.locator(selector).first().innerText() : "";

function versions(headers) {
  return {
    bom: headers["sarsen-bom"] ?? "",
    contract: headers["sarsen-contract"] ?? "",
    build: headers["sarsen-build"] ?? "",
    leaked: "sarsen-customer" in headers,
  };
}

async function report({ page, context, seen, errors }) {
  const documents = seen.filter((response) => response.request().resourceType() === "document");
  const queries = seen.filter((response) => new URL(response.url()).pathname === "/graphql");
  const cookies = await context.cookies();
  return {
    url: page.url(),
    release: (await page.locator("main").getAttribute("data-release")) ?? "",
    customer: await text(page, "#customer"),
    orders: await text(page, "#orders"),
    build: (await page.locator("#orders").count())
      ? ((await page.locator("#orders").first().getAttribute("data-build")) ?? "")
      : "",
    shown: {
      bom: await text(page, "#fact-bom"),
      contract: await text(page, "#fact-contract"),
      build: await text(page, "#fact-build"),
    },
    error: await text(page, "#error"),
    page: documents.length ? versions(documents.at(-1).headers()) : null,
    graphql: queries.length ? versions(queries.at(-1).headers()) : null,
    origins: [...new Set(seen.map((response) => new URL(response.url()).origin))],
    files: seen.map((response) => [response.status(), new URL(response.url()).pathname]),
    cookies: cookies.map(({ name, httpOnly, sameSite }) => ({ name, httpOnly, sameSite })),
    errors,
  };
}

const commands = { visit, reload, order, logout };

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { ok: await commands[command.do](command.customer) };
  } catch (error) {
    answer = { failed: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
