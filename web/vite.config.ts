import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const SERVER = "http://127.0.0.1:8080";

const compress = promisify(brotliCompress);
// 10 and 11 take ten times as long for two percent less.
const QUALITY = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };

/** Puts a `.br` beside each text file of the build, which the server then sends as it is. */
function brotli(): Plugin {
  return {
    name: "brotli",
    apply: "build",
    async writeBundle({ dir = "dist" }, bundle) {
      const texts = Object.keys(bundle).filter((name) => /\.(js|css|html)$/.test(name));
      const pack = async (name: string) => {
        const path = `${dir}/${name}`;
        await writeFile(`${path}.br`, await compress(await readFile(path), QUALITY));
      };
      await Promise.all(texts.map(pack));
    },
  };
}

export default defineConfig({
  plugins: [react(), brotli()],
  build: {
    // Inlined assets would be data: addresses, which the content security policy allows for images only.
    assetsInlineLimit: 0,
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // The API reference is one library of 1.5 MB; nothing else comes near.
    chunkSizeWarningLimit: 1600,
    rolldownOptions: { input: { dashboard: "index.html", docs: "docs/index.html" } },
  },
  server: {
    proxy: { "/v1": { target: SERVER, ws: true }, "/openapi.json": SERVER },
  },
  test: { environment: "jsdom", setupFiles: "src/testing/setup.ts", restoreMocks: true },
});
