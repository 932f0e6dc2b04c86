// SPDX-License-Identifier: Apache-2.0

// Builds every release of releases.json into <out>/<release>/, each with its
// manifest sarsen.json. React and the app are separate entries of the import
// map: they share modules by bare name, and a browser fetches each file once.
//
//   node build.mjs [OUT]        OUT is "dist" unless given

import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "vite";

const out = resolve(process.argv[2] ?? "dist");
const root = import.meta.dirname ?? new URL(".", import.meta.url).pathname;

// The bare names that the import map resolves, with what they are made from.
const shared = {
  react: "src/shared/react.ts",
  "react/jsx-runtime": "src/shared/react-jsx-runtime.ts",
  "react-dom/client": "src/shared/react-dom-client.ts",
};
const bareNames = Object.keys(shared);

// One library build per entry. What another entry provides stays a bare import.
async function buildEntry(release, name, source) {
  const bundles = await build({
    root,
    configFile: false,
    logLevel: "warn",
    define: {
      "process.env.NODE_ENV": '"production"',
      __RELEASE__: JSON.stringify(release),
    },
    build: {
      outDir: join(out, release),
      emptyOutDir: false,
      target: "es2022",
      modulePreload: false,
      cssCodeSplit: true,
      assetsInlineLimit: 0,
      rollupOptions: {
        input: { [name.replace(/^@.*\//, "").replaceAll("/", "-")]: resolve(root, source) },
        external: bareNames.filter((bare) => bare !== name),
        preserveEntrySignatures: "strict",
        output: {
          format: "es",
          entryFileNames: "assets/[name]-[hash].js",
          assetFileNames: "assets/[name]-[hash][extname]",
        },
      },
    },
  });
  const { output } = bundles;
  const script = output.find((file) => file.type === "chunk" && file.isEntry);
  const styles = output.filter((file) => file.fileName.endsWith(".css"));
  return { script: script.fileName, styles: styles.map((file) => file.fileName) };
}

async function integrity(path) {
  return "sha384-" + createHash("sha384").update(await readFile(path)).digest("base64");
}

async function buildRelease(release, { main, requires }) {
  const folder = join(out, release);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const entries = [];
  const styles = [];
  // The first entry of a manifest is the one that the shell page starts.
  for (const [name, source] of Object.entries({ "@shop/main": main, ...shared })) {
    const built = await buildEntry(release, name, source);
    entries.push({ name, path: built.script, integrity: await integrity(join(folder, built.script)) });
    styles.push(...built.styles);
  }
  const manifest = { app: "shop", release, kind: "importmap", requires, entries, styles };
  await writeFile(join(folder, "sarsen.json"), JSON.stringify(manifest, null, 2) + "\n");
  console.log(`shop ${release}: ${entries.length} entries in ${folder}`);
}

const releases = JSON.parse(await readFile(join(root, "releases.json"), "utf8"));
for (const [release, description] of Object.entries(releases))
  await buildRelease(release, description);
