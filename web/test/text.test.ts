import { describe, expect, test } from "vitest";
import { stem } from "../src/app/download";
import { readCard } from "../src/espressivo/card";
import { modelFile } from "../src/espressivo/model-files";
import { Profile } from "../src/espressivo/profile";
import { shortened, toLine } from "../src/espressivo/text";
import { needsPython, python } from "./python";

const HOSTILE = [
  "</script><script>alert(1)</script>.wav",
  "note\u202egnp.exe",
  "a\nb\r\t\u0000\u001b[31m\u0085.wav",
  "half \ud800 of two.wav",
  "tag \u{e0041}.wav",
  "x".repeat(10_000),
];

describe("names", () => {
  test("lose what acts on the text around them", () => {
    expect(toLine("note\u202egnp.exe")).toBe("note\\u202egnp.exe");
    expect(toLine("a\nb")).toBe("a\\u000ab");
    expect(toLine("half \ud800, tag \u{e0041}")).toBe("half \\ud800, tag \\u{e0041}");
    for (const name of ["Zoë", "สมศรี", "👩‍👩‍👧.ogg", "a b", "<img>"])
      expect(toLine(name)).toBe(name);
  });

  test("keep their beginning and end", () => {
    expect(shortened("abcdefghij", 10)).toBe("abcdefghij");
    expect(shortened("abcdefghijk", 9)).toBe("abcd…hijk");
    expect(shortened("😀".repeat(20), 9)).toBe("😀😀…😀😀");
    expect(shortened("a😀😀😀😀😀b", 7)).toBe("a😀…😀b");
  });

  test.each(HOSTILE)("are safe as the names of downloads: %.20j", (name) => {
    const file = `${stem(name)}.html`;
    expect(new TextEncoder().encode(file).length).toBeLessThan(256);
    expect(toLine(file)).toBe(file);
    expect(file).not.toMatch(/^\.|[/\\:]/);
  });

  test("of nothing but dots are names too", () => {
    for (const name of ["", "..", "...", "../../x", ".hidden"])
      expect(stem(name)).toMatch(/^[^./]/);
  });
});

describe("a model folder", () => {
  const limits = { timeout_s: 1, signal: undefined };
  const file = (name: string, size: number) => {
    const found = new File(["{}"], name);
    Object.defineProperty(found, "size", { value: size });
    return found;
  };

  test("with files of gigabytes is not read", async () => {
    for (const [name, size] of [
      ["model.json", 4_000_001],
      ["model.onnx", 2 ** 31 + 1],
    ] as const) {
      const read = modelFile([file(name, size)], name, limits, () => {});
      await expect(read).rejects.toThrow(/bytes, more than .*; choose another model/);
    }
  });

  test("of thousands of hostile names is refused in one short line", async () => {
    const files = Array.from({ length: 1000 }, (_, i) => file(`${HOSTILE[i % 6]}`, 1));
    const read = modelFile(files, "model.json", limits, () => {});
    const error = await read.catch((reason: Error) => reason);
    const { message } = error as Error;
    expect(message).toMatch(/the folder holds no model.json/);
    expect(message.length).toBeLessThan(400);
    expect(toLine(message)).toBe(message);
  });

  test("whose card has long or hostile texts is refused in one short line", () => {
    const card = {
      format_version: 1,
      emotions: ["anger", "sadness"],
      sample_rate_hz: 16_000,
      window_s: 8,
      min_s: 0.5,
      version: "1",
      sha256: "0".repeat(64),
    };
    for (const name of [...HOSTILE.slice(1), "x".repeat(1_000_000)]) {
      for (const changes of [
        { name },
        { name: "a", version: name },
        { format_version: name },
        { name: "a", emotions: [name] },
      ]) {
        try {
          readCard(JSON.stringify({ ...card, ...changes }), "model.json");
          expect.fail("it was read");
        } catch (error) {
          const { message } = error as Error;
          expect(message).toMatch(/^model.json: \w+ is /);
          expect(message.length).toBeLessThan(400);
          expect(toLine(message)).toBe(message);
        }
      }
    }
    expect(readCard(JSON.stringify({ ...card, name: "<img>" }), "").name).toBe("<img>");
  });
});

test("names of profiles are those that Python takes", (context) => {
  needsPython(context);
  const names = ["me", "CON", "nul", "com1", "Connie", "aux ", "..", "x".repeat(65), "Zoë"];
  const code =
    "import json, sys\nfrom espressivo.profile.store import profile_path\n" +
    "def ok(n):\n try: profile_path(n)\n except Exception: return False\n return True\n" +
    "print(json.dumps([ok(n) for n in json.loads(sys.argv[1])]))";
  const found = python("-c", code, JSON.stringify(names));
  const card = {
    name: "m",
    version: "1",
    sha256: "0",
    adaptation: { means: [[0], [1]], nAxes: 1 },
  };
  const taken = names.map((name) => {
    try {
      return Boolean(Profile.create(name, card as never));
    } catch {
      return false;
    }
  });
  expect(taken).toEqual(JSON.parse(found));
});
