import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AudioError, EspressivoError } from "../src/espressivo/errors";
import { bodyOf, fetched } from "../src/espressivo/fetching";
import { modelFile } from "../src/espressivo/model-files";
import { TIMEOUT_S, timeoutOf, within } from "../src/espressivo/waits";

const never = new Promise<never>(() => {});
const late = () => new AudioError("too late");

describe("a wait", () => {
  test("ends with the answer", async () => {
    expect(await within(Promise.resolve(1), { timeout_s: 1 }, late)).toBe(1);
    const failed = within(Promise.reject(new Error("no")), { timeout_s: 1 }, late);
    await expect(failed).rejects.toThrow("no");
  });

  test("ends with an error if there is none", async () => {
    await expect(within(never, { timeout_s: 0.05 }, late)).rejects.toThrow(late());
  });

  test("lasts as long as there is progress, and not much longer", async () => {
    let steps = 0;
    const timer = setInterval(() => steps++, 10);
    const progress = () => Math.min(steps, 30);
    const limits = { timeout_s: 0.1, progress };
    await expect(within(never, limits, late)).rejects.toThrow("too late");
    clearInterval(timer);
    expect(steps).toBeGreaterThanOrEqual(30);
  });

  test.each(["signal", "gone"])("ends when it is cancelled: %s", async (which) => {
    const controller = new AbortController();
    const reason = new DOMException("cancelled", "AbortError");
    const limits = { timeout_s: 60, [which]: controller.signal };
    const waiting = within(never, limits, late);
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(within(never, limits, late)).rejects.toBe(reason); // cancelled before
  });
});

describe("the limit", () => {
  test("is 20 s unless another is given", () => {
    expect(timeoutOf()).toBe(TIMEOUT_S);
    expect(TIMEOUT_S).toBe(20);
    expect(timeoutOf(0.5)).toBe(0.5);
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])("is not %f s", (bad) => {
    expect(() => timeoutOf(bad)).toThrow(EspressivoError);
  });
});

describe("a download", () => {
  let server: Server;
  let url: string;
  beforeAll(async () => {
    server = createServer((request, response) => {
      if (request.url === "/missing") response.writeHead(404).end();
      else if (request.url === "/silent") return;
      else if (request.url === "/stuck") response.write("some");
      else if (request.url === "/broken") {
        response.writeHead(200, { "Content-Length": "100" });
        response.write("some", () => response.destroy());
      } else if (request.url === "/slow") {
        let n = 0;
        const timer = setInterval(() => {
          response.write("x");
          if (++n === 12) {
            clearInterval(timer);
            response.end();
          }
        }, 50);
      } else response.end("all of it");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const get = (path: string, timeout_s = 0.3, signal?: AbortSignal) =>
    fetched(url + path, { timeout_s, signal }, (reason) => new AudioError(`x: ${reason}`));

  test("is complete", async () => {
    expect(await (await get("/")).text()).toBe("all of it");
  });

  test("tells of each piece that arrives", async () => {
    const told: number[] = [];
    const error = (reason: string) => new AudioError(reason);
    await fetched(`${url}/slow`, { timeout_s: 1 }, error, (n) => told.push(n));
    expect(told.length).toBeGreaterThan(1);
    expect(told.reduce((sum, n) => sum + n)).toBe(12);
    let n_bytes = 0;
    const file = await modelFile(url, "whole", { timeout_s: 1 }, (n) => {
      n_bytes += n;
    });
    expect(n_bytes).toBe(file.length);
  });

  test("may take longer than the limit while bytes arrive", async () => {
    expect((await get("/slow")).size).toBe(12);
  });

  test.each([
    ["/missing", "x: the server says 404"],
    ["/silent", "x: has sent nothing for 0.3 s"],
    ["/stuck", "x: has sent nothing for 0.3 s"],
    ["/broken", "x: the connection broke"],
  ])("that fails says so: %s", async (path, message) => {
    await expect(get(path)).rejects.toThrow(new AudioError(message));
  });

  test("from nowhere says so", async () => {
    const error = (reason: string) => new AudioError(reason);
    const nowhere = fetched("http://127.0.0.1:1/", { timeout_s: 5 }, error);
    await expect(nowhere).rejects.toThrow("cannot be fetched; is the device offline?");
  });

  test.each(["/silent", "/stuck"])("can be cancelled: %s", async (path) => {
    const controller = new AbortController();
    const waiting = get(path, 60, controller.signal);
    setTimeout(() => controller.abort(new DOMException("enough", "AbortError")), 50);
    await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
  });

  test("is not read twice", async () => {
    const response = new Response("words");
    await response.text();
    const error = (reason: string) => new AudioError(reason);
    const again = bodyOf(response, { timeout_s: 1 }, error);
    await expect(again).rejects.toThrow("its body was read before");
  });

  test("of a model names the file and the remedy", async () => {
    const file = modelFile(url, "missing", { timeout_s: 1 }, () => {});
    await expect(file).rejects.toThrow(
      `${url}/missing: the server says 404; put a complete model folder there`,
    );
  });
});
