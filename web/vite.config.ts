import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const SERVER = "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  build: {
    // Inlined assets would be data: addresses, which the content security policy allows for images only.
    assetsInlineLimit: 0,
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    rolldownOptions: { input: { dashboard: "index.html", docs: "docs/index.html" } },
  },
  server: {
    proxy: { "/v1": { target: SERVER, ws: true }, "/openapi.json": SERVER },
  },
  test: { environment: "jsdom", setupFiles: "src/testing/setup.ts", restoreMocks: true },
});
