import path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { ASSETS } from "./graphs";
import { scratch } from "./python";

afterEach(() => vi.unstubAllEnvs());

/** The build's choice of models where the variable says this. */
async function chosen(said: string) {
  vi.stubEnv("ESPRESSIVO_WEB_MODELS", said);
  vi.resetModules();
  return import("../build/models");
}

test("without a choice the build has all bundled models", async () => {
  const { ARE_BUNDLED, MODELS, names } = await chosen("");
  expect(MODELS).toBe(path.join(ASSETS, "models"));
  expect(await names()).toContain("espressivo-base");
  expect(ARE_BUNDLED).toBe(true);
});

test("bundled models can be chosen by name", async () => {
  const { ARE_BUNDLED, names } = await chosen("espressivo-tiny,espressivo-base");
  expect(await names()).toEqual(["espressivo-base", "espressivo-tiny"]);
  expect(ARE_BUNDLED).toBe(true);
});

test("models of one's own are a folder", async () => {
  const folder = scratch();
  const { ARE_BUNDLED, MODELS, names } = await chosen(folder);
  expect(MODELS).toBe(folder);
  expect(await names()).toEqual([]);
  expect(ARE_BUNDLED).toBe(false);
});

test("what is neither is an error that names what there is", async () => {
  const { names } = await chosen("espressivo-tiny,espressivo-huge");
  await expect(names()).rejects.toThrow(
    /^ESPRESSIVO_WEB_MODELS: espressivo-huge is neither .*espressivo-base, /,
  );
});
