import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { ModelError } from "../src/espressivo";
import { unzipped } from "../src/espressivo/model-files";

const WASM = Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...Array(5_000).keys()]);
const zipped = () => Uint8Array.from(gzipSync(WASM));

test("a compressed runtime is unpacked", async () => {
  expect(await unzipped(zipped(), "ort.wasm.gz")).toEqual(WASM);
});

test("where the host's headers made the browser unpack it, it stays as it is", async () => {
  expect(await unzipped(WASM, "ort.wasm.gz")).toBe(WASM);
});

test.each([
  ["cut off", (bytes: Uint8Array<ArrayBuffer>) => bytes.slice(0, -200)],
  ["damaged", (bytes: Uint8Array<ArrayBuffer>) => bytes.fill(0xff, 40, 80)],
  [
    "another file behind it",
    (bytes: Uint8Array<ArrayBuffer>) => Uint8Array.from([...bytes, 1, 2, 3]),
  ],
])("a runtime that is %s is refused by name", async (_, broken) => {
  const opened = unzipped(broken(zipped()), "ort.wasm.gz");
  await expect(opened).rejects.toThrow(ModelError);
  await expect(opened).rejects.toThrow(/^ort\.wasm\.gz: is damaged or cut off; /);
});
