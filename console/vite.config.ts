import react from "@vitejs/plugin-react";
import type { ProxyOptions } from "vite";
import { defineConfig } from "vitest/config";

// `heartmapctl console` serves what is built. While developing, run it too: Vite passes calls on to it, as if they came from its own page.
const target = process.env.HEARTMAP_CONSOLE ?? "http://127.0.0.1:8410";
const server: ProxyOptions = { target, changeOrigin: true, headers: { origin: target } };

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../operator_cli/console/static",
    emptyOutDir: true,
    // The content security policy takes files of this origin alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1200,
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": server, "/console": server, "/start": server },
  },
  test: { environment: "jsdom", include: ["src/**/*.test.{ts,tsx}"] },
});
