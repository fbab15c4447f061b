import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { ProfileError } from "../src/espressivo/errors";
import { Profile } from "../src/espressivo/profile";
import { merged, withWindow } from "../src/espressivo/speaker-statistics";
import { golden } from "./goldens";
import { bundledCard } from "./graphs";
import { needsPython, python, scratch } from "./python";
import { Random } from "./random";

interface Profiles {
  readonly names: Readonly<Record<string, boolean>>;
  readonly merged: string;
  readonly files: Readonly<Record<string, { text: string; refused: string | null }>>;
}

const { names, files, merged: both } = golden<Profiles>("profiles");
const card = bundledCard();

/** A profile of the bundled model that has heard something. */
function heard(speaker: string, seed = 1): Profile {
  const random = new Random(seed);
  const empty = Profile.create(speaker, card);
  let { speakerStatistics } = empty;
  for (let i = 0; i < 5; i++) {
    const traits = speakerStatistics.mean.map(() => 4 * random.next() - 2);
    speakerStatistics = withWindow(
      speakerStatistics,
      traits,
      random.integer(8_000, 128_000),
    );
  }
  return new Profile(empty.speaker, empty.model, { ...speakerStatistics, nRecordings: 2 });
}

async function refusal(text: string): Promise<string | null> {
  try {
    await Profile.parse(text, "p.json");
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(ProfileError);
    return (error as Error).message;
  }
}

describe("a file that Python wrote", () => {
  test.each(["mine", "yours"])("is read and written back the same: %s", async (name) => {
    const { text } = files[name];
    const profile = await Profile.parse(text);
    expect(await profile.toJson()).toBe(text);
    expect(profile.speaker).toBe(JSON.parse(text).speaker);
    expect(profile.speakerStatistics.mean.length).toBe(9);
    expect(profile.speech_s).toBe(profile.speakerStatistics.nSamples / 16_000);
  });

  test("is merged as Python merges it", async () => {
    const [one, other] = await Promise.all(
      ["mine", "yours"].map((name) => Profile.parse(files[name].text)),
    );
    expect(await one.merged(other).toJson()).toBe(both);
  });

  test.each(Object.keys(files))(
    "is taken or refused as Python does it: %s",
    async (name) => {
      const { text, refused } = files[name];
      const found = await refusal(text);
      // What makes no sense about it is told in each language's own words.
      const fixed = (message: string | null) => message?.replace(/\(.+\)/, "(...)") ?? null;
      expect(fixed(found)).toBe(fixed(refused));
    },
  );

  test("covers what can be wrong with a file", () => {
    const messages = Object.values(files).map(({ refused }) => refused ?? "taken");
    for (const said of ["taken", "cut off", "edited", "update espressivo", "no sense"]) {
      expect(messages.join()).toContain(said);
    }
  });
});

describe("a file that was written here", () => {
  test.each(["me", "Zoë", "李雷 2"])("is read again: %s", async (speaker) => {
    const profile = heard(speaker);
    const again = await Profile.parse(await profile.toJson());
    expect(again).toEqual(profile);
    again.requireModel(card);
  });

  // Three hidden states of an encoder of 512; and more than engines take as arguments.
  test.each([1_536, 20_000])("is read again with embeddings of %i", async (width) => {
    const head = { sha256: "", distanceLimit: 1, width };
    const wide = { ...card, profileHead: head };
    const empty = Profile.create("me", wide);
    const traits = empty.speakerStatistics.mean.map((_, i) => Math.sin(i));
    const statistics = withWindow(empty.speakerStatistics, traits, 16_000);
    const profile = new Profile("me", empty.model, statistics);
    const again = await Profile.parse(await profile.toJson());
    expect(again).toEqual(profile);
    again.requireModel(wide);
    expect(() => again.requireModel(card)).toThrow(`holds sums of ${width + 5} features`);
  });

  test("in which any one character changed is refused", async () => {
    const text = (await heard("me").toJson()).trimEnd();
    const random = new Random(3);
    const said = new Set<string | null>();
    for (let i = 0; i < 200; i++) {
      const at = random.integer(0, text.length - 1);
      if (/\s/.test(text[at])) continue; // no content
      const other = text[at] === "x" ? "y" : "x";
      said.add(await refusal(text.slice(0, at) + other + text.slice(at + 1)));
    }
    expect(said).not.toContain(null);
    expect([...said].join()).toContain("was edited or damaged");
  });

  test("is read, shown and learned from in Python", async (context) => {
    needsPython(context);
    const folder = scratch();
    const [one, other] = [heard("Zoë 李", 1), heard("x", 2)];
    const files = [one, other].map((_, i) => path.join(folder, `${i}.json`));
    writeFileSync(files[0], await one.toJson());
    writeFileSync(files[1], await other.toJson());
    const again = path.join(folder, "again.json");
    const program =
      "import sys; from espressivo import Profile, load_model; " +
      "one, other = map(Profile.load, sys.argv[1:3]); " +
      "one.require_model(load_model(sys.argv[4]).classifier); one.save(sys.argv[1]); " +
      "one.merged(other).save(sys.argv[3])";
    python("-c", program, ...files, again, "espressivo-tiny");
    expect(readFileSync(files[0], "utf-8")).toBe(await one.toJson());
    const found = await Profile.parse(readFileSync(again, "utf-8"));
    expect(found).toEqual(one.merged(other));
  });
});

describe("a profile", () => {
  test("that is new has heard nothing", () => {
    const { speakerStatistics, speech_s, model } = Profile.create("me", card);
    expect([speakerStatistics.nWindows, speakerStatistics.nRecordings, speech_s]).toEqual([
      0, 0, 0,
    ]);
    expect(speakerStatistics.mean.length).toBe((card.profileHead?.width as number) + 5);
    expect(model.sha256).toBe(card.sha256);
  });

  test.each(Object.entries(names))("may be called %o as in Python: %o", (name, may) => {
    const create = () => Profile.create(name, card);
    if (may) expect(create().speaker).toBe(name.normalize("NFC"));
    else expect(create).toThrow(`'${name}' is no name for a profile; take letters`);
  });

  test("learns the same in any order, but for rounding", () => {
    const [one, two, three] = [1, 2, 3].map((seed) => heard("me", seed));
    const forth = one.merged(two, three).speakerStatistics;
    const back = three.merged(two).merged(one).speakerStatistics;
    expect(forth.nWindows).toBe(15);
    expect(forth.nRecordings).toBe(back.nRecordings);
    expect(forth.nSamples).toBe(back.nSamples);
    forth.mean.forEach((mean, i) => {
      expect(mean).toBeCloseTo(back.mean[i], 12);
      expect(forth.squares[i]).toBeCloseTo(back.squares[i], 10);
    });
    expect(forth).toEqual(
      merged(merged(one.speakerStatistics, two.speakerStatistics), three.speakerStatistics),
    );
  });

  test("learns nothing from a report made without one", () => {
    const report = { model: heard("me").model, speakerStatistics: null };
    expect(() => heard("me").merged(report)).toThrow(
      "profile 'me' cannot learn from a report that was made without a profile; analyse " +
        "with one, if need be an empty one",
    );
  });

  test("of another model is refused, named and with a remedy", () => {
    const model = { name: "another", version: "2", sha256: "ab".repeat(32) };
    const other = new Profile("me", model, heard("me").speakerStatistics);
    const said =
      /^profile 'me' is of another 2 \(abababababab\.\.\.\), not of espressivo-tiny \S+ \(\w{12}\.\.\.\): .*create the profile anew$/;
    expect(() => other.requireModel(card)).toThrow(ProfileError);
    expect(() => other.requireModel(card)).toThrow(said);
    expect(() => other.merged(heard("me"))).toThrow(said);
  });

  test("of other traits is refused", () => {
    const { speaker, model, speakerStatistics } = heard("me");
    const shorter = {
      ...speakerStatistics,
      mean: speakerStatistics.mean.slice(1),
      squares: speakerStatistics.squares.slice(1),
    };
    const n = speakerStatistics.mean.length;
    expect(() => new Profile(speaker, model, shorter).requireModel(card)).toThrow(
      `profile 'me' holds sums of ${n - 1} features, not ${n}; create it anew`,
    );
  });

  test("cannot be made for a model that takes none", () => {
    expect(() => Profile.create("me", { ...card, profileHead: null })).toThrow(
      `${card.name} ${card.version}: takes no speaker's profile`,
    );
  });
});
