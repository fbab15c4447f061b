import { defineConfig } from "vitest/config";

/** The library and what of the app needs no browser; `npm run e2e` drives the rest. */
export default defineConfig({
  test: { include: ["test/**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000 },
});
