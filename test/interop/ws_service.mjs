// SPDX-License-Identifier: Apache-2.0

// A WebSocket service for the tests, and the page and scripts that a browser needs to be its
// client, on a unix socket and on a loopback port, whose address it prints. It ends when its
// standard input does.
//
//   node ws_service.mjs MODULES SOCKET [CERTIFICATE KEY]
//
// It echoes messages; one that begins with "!" tells in JSON what else to do. What it saw of a
// conversation is at /seen?ID, where the client opened /echo?ID or /deflate?ID.

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import { join } from "node:path";
import { digest } from "./ws_talk.mjs";

const [modules, socketPath, certificate, key] = process.argv.slice(2);
const { WebSocketServer } = createRequire(join(modules, "x.js"))("ws");

const conversations = new Map();

const commands = {
  fragments(socket, sizes) {
    sizes.forEach((size, i) =>
      socket.send(Buffer.alloc(size, 97 + i), { fin: i === sizes.length - 1, binary: true }),
    );
  },
  burst(socket, n) {
    for (let i = 0; i < n; i++) socket.send(`burst ${i}`);
  },
  ping: (socket, text) => socket.ping(text),
  close: (socket, [code, reason]) => socket.close(code, reason),
  terminate: (socket) => socket.terminate(),
};

function converse(socket, request) {
  const seen = [];
  conversations.set(new URL(request.url, "http://x").search.slice(1), seen);
  socket.on("ping", (data) => seen.push(["ping", String(data)]));
  socket.on("pong", (data) => {
    seen.push(["pong", String(data)]);
    socket.send(`pong ${data}`);
  });
  socket.on("error", (error) => seen.push(["error", error.message]));
  socket.on("close", (code, reason) => seen.push(["close", code, String(reason)]));
  socket.on("message", (data, isBinary) => {
    seen.push([isBinary ? "binary" : "text", data.length, digest(data)]);
    if (isBinary || data[0] !== 0x21) {
      socket.send(data, { binary: isBinary });
      return;
    }
    for (const [name, argument] of Object.entries(JSON.parse(data.subarray(1))))
      commands[name](socket, argument);
  });
}

// No limit of its own on a message: what a limit does is not what is tested.
const options = { noServer: true, maxPayload: 0, handleProtocols: (asked) => [...asked].at(-1) };
const plain = new WebSocketServer({ ...options, perMessageDeflate: false });
const deflate = new WebSocketServer({ ...options, perMessageDeflate: { threshold: 16 } });

const page = "<!doctype html><meta charset=utf-8><title>interop</title><p>interop";
const files = {
  "/talk.js": new URL("ws_talk.mjs", import.meta.url),
  "/web-talk.js": new URL("web_talk.mjs", import.meta.url),
  "/grpc-web.js": join(modules, "grpc-web", "index.esm.js"),
};

async function answer(request, response) {
  const url = new URL(request.url, "http://x");
  const send = (status, type, body) => {
    response.writeHead(status, { "Content-Type": type, "Content-Length": Buffer.byteLength(body) });
    response.end(body);
  };
  if (url.pathname === "/page") send(200, "text/html", page);
  else if (url.pathname === "/favicon.ico") send(200, "image/x-icon", "");
  else if (url.pathname === "/seen")
    send(200, "application/json", JSON.stringify(conversations.get(url.search.slice(1)) ?? []));
  else if (files[url.pathname]) send(200, "text/javascript", await readFile(files[url.pathname]));
  else send(404, "text/plain", "no such page");
}

function upgrade(request, socket, head) {
  const { pathname } = new URL(request.url, "http://x");
  const server = { "/echo": plain, "/deflate": deflate }[pathname];
  if (server) server.handleUpgrade(request, socket, head, (one) => converse(one, request));
  else socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

const createServer = () =>
  certificate
    ? https.createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, answer)
    : http.createServer(answer);

const serve = (where) =>
  new Promise((resolve) => {
    const server = createServer().on("upgrade", upgrade);
    server.listen(where, () => resolve(server.address()));
  });

await serve({ path: socketPath });
const { port } = await serve({ host: "127.0.0.1", port: 0 });
console.log(`127.0.0.1:${port}`);
process.stdin.on("end", () => process.exit(0)).resume();
