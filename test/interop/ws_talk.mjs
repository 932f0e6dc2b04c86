// SPDX-License-Identifier: Apache-2.0

// The conversations that a WebSocket client has with ws_service.mjs, for a browser and for node:
// talk(open) returns what the client saw of each, which must be the same whatever is between.
//
// open(path, protocols) makes a WebSocket; those of npm's "ws" can send pings and fragments, too.

const bytes = (size, seed = 0) => Uint8Array.from({ length: size }, (_, i) => (i * 7 + seed) & 255);

/** FNV-1a, as browsers have no digest that is not a promise. */
export function digest(data) {
  let hash = 0x811c9dc5;
  for (const byte of data) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16);
}

const SECONDS = 20;

/** A WebSocket whose events are awaited one by one. */
class Talker {
  constructor(socket) {
    this.socket = socket;
    this.events = [];
    this.waiting = null;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#saw(["open", socket.protocol, socket.extensions]);
    socket.onmessage = ({ data }) => this.#saw(Talker.#described(data));
    socket.onclose = ({ code, reason, wasClean }) => this.#saw(["close", code, reason, wasClean]);
    socket.onerror = () => {};
    socket.on?.("ping", (data) => this.#saw(["ping", String(data)]));
    socket.on?.("pong", (data) => this.#saw(["pong", String(data)]));
    socket.on?.("error", () => {});
  }

  static #described(data) {
    if (typeof data === "string") return ["text", data.length, data.slice(0, 80)];
    return ["binary", data.byteLength, digest(new Uint8Array(data))];
  }

  #saw(event) {
    this.events.push(event);
    this.waiting?.();
  }

  async next() {
    while (!this.events.length) {
      await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error("nothing came")), SECONDS * 1000);
        this.waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.events.shift();
  }

  async take(n) {
    const taken = [];
    while (taken.length < n) taken.push(await this.next());
    return taken;
  }

  tell(command) {
    this.socket.send("!" + JSON.stringify(command));
  }
}

// Each is given an open Talker and returns what it saw, the end included.
const conversations = {
  async messages(talker) {
    const { socket } = talker;
    const sizes = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20];
    socket.send("hello");
    socket.send("grüße 🜁 \u0000 \u{10ffff}");
    for (const size of sizes) socket.send("x".repeat(size));
    for (const size of sizes) socket.send(bytes(size, size));
    const seen = await talker.take(2 + 2 * sizes.length);
    socket.close(1000, "done");
    return [...seen, await talker.next()];
  },
  async many(talker) {
    for (let i = 0; i < 2000; i++) talker.socket.send(`many ${i}`);
    talker.tell({ burst: 2000 });
    const seen = await talker.take(4000);
    talker.socket.close(1000);
    return [seen.filter(([kind], i) => kind !== "text" || !seen[i][2].endsWith(` ${i % 2000}`)),
      seen.length, await talker.next()];
  },
  async fragments(talker) {
    talker.tell({ fragments: [1, 0, 70000, 5] });
    const seen = [await talker.next()];
    if (talker.socket.ping) {
      talker.socket.send("one ", { fin: false });
      talker.socket.ping("between");
      talker.socket.send("", { fin: false });
      talker.socket.send("two", { fin: true });
      seen.push(...(await talker.take(2)));
    }
    talker.socket.close(3001);
    return [...seen, await talker.next()];
  },
  async pings(talker) {
    talker.tell({ ping: "from the service" });
    const seen = await talker.take(talker.socket.ping ? 2 : 1);
    if (talker.socket.ping) {
      talker.socket.ping("p".repeat(125));
      seen.push(await talker.next());
    }
    talker.socket.close();
    return [...seen, await talker.next()];
  },
  closed_with_reason: (talker) => closed(talker, [4001, "é".repeat(61) + "."]),
  closed_going_away: (talker) => closed(talker, [1001, "bye"]),
  closed_with_error: (talker) => closed(talker, [1011, ""]),
  async cut(talker) {
    talker.tell({ terminate: true });
    return talker.take(1);
  },
};

function closed(talker, how) {
  talker.tell({ close: how });
  return talker.take(1);
}

/** What the client saw, by conversation. `ask(path)` gets JSON from the service. */
export async function talk(open, ask, tag) {
  const report = {};
  for (const path of ["echo", "deflate"]) {
    for (const [name, converse] of Object.entries(conversations)) {
      const id = `${tag}-${path}-${name}`;
      const talker = new Talker(open(`/${path}?${id}`, ["first", "second"]));
      const opened = await talker.next();
      const client = opened[0] === "open" ? await converse(talker) : [];
      const end = Date.now() + SECONDS * 1000;
      let service = [];
      while (service.at(-1)?.[0] !== "close" && Date.now() < end)
        service = await ask(`/seen?${id}`);
      report[`${path} ${name}`] = { opened, client, service };
    }
  }
  const refused = new Talker(open("/nothing", []));
  report.refused = await refused.next();
  return report;
}
