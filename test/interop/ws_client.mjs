// SPDX-License-Identifier: Apache-2.0

// npm's "ws" as a client of ws_service.mjs: prints what it saw, as JSON.
//
//   node ws_client.mjs MODULES http://HOST:PORT [CA]

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import http from "node:http";
import https from "node:https";
import { talk } from "./ws_talk.mjs";

const [modules, base, authority] = process.argv.slice(2);
const WebSocket = createRequire(join(modules, "x.js"))("ws");
const ca = authority && readFileSync(authority);
const get = base.startsWith("https:") ? https.get : http.get;

const open = (path, protocols) =>
  new WebSocket(base.replace("http", "ws") + path, protocols, { ca, maxPayload: 0 });

const ask = (path) =>
  new Promise((resolve, reject) => {
    const request = get(base + path, { ca }, async (response) => {
      let text = "";
      for await (const part of response) text += part;
      resolve(JSON.parse(text));
    });
    request.on("error", reject);
  });

const report = await talk(open, ask, `ws${process.pid}`);
process.stdout.write(JSON.stringify(report), () => process.exit(0));
