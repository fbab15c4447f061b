import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { AdaptationCard } from "../src/espressivo/card";
import { ModelError, ProfileError } from "../src/espressivo/errors";
import { type Kind, Profile } from "../src/espressivo/profile";
import { asOne, merged, weightOf, withWindow } from "../src/espressivo/window-statistics";
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
const { means, nAxes } = card.adaptation as AdaptationCard;
const N_DIMS = means[0].length;

/** A profile of the bundled model that has heard something. */
function heard(name: string, seed = 1, kind: Kind = "speaker", n = 5): Profile {
  const random = new Random(seed);
  const empty = Profile.create(name, card, kind);
  let { statistics } = empty;
  for (let i = 0; i < n; i++) {
    const voice = Array.from({ length: N_DIMS + 1 + nAxes }, () => 4 * random.next() - 2);
    voice[N_DIMS] = random.next();
    statistics = withWindow(statistics, voice, random.integer(8_000, 128_000));
  }
  return new Profile(empty.name, kind, empty.model, { ...statistics, nRecordings: 2 });
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
  test.each(["mine", "yours", "nobody", "hall"])(
    "is read and written back the same: %s",
    async (name) => {
      const { text } = files[name];
      const profile = await Profile.parse(text);
      expect(await profile.toJson()).toBe(text);
      const { statistics } = profile;
      expect([profile.name, profile.kind]).toEqual([
        JSON.parse(text).name,
        name === "hall" ? "setting" : "speaker",
      ]);
      expect([statistics.nDims, statistics.mean.length]).toEqual([3, 2]);
      expect(profile.speech_s).toBe(statistics.nSamples / 16_000);
    },
  );

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

  test("is refused if it is nested deeper than the stack", async () => {
    const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    const text = `{"schema": "espressivo.profile/2", "sha256": null, "a": ${deep}}`;
    expect(await refusal(text)).toMatch(/cut off|edited/);
  });

  test("covers what can be wrong with a file", () => {
    const messages = Object.values(files).map(({ refused }) => refused ?? "taken");
    for (const said of ["taken", "cut off", "edited", "update espressivo", "no sense"]) {
      expect(messages.join()).toContain(said);
    }
  });
});

describe("a file that was written here", () => {
  test.each(["me", "Zoë", "李雷 2"])("is read again: %s", async (name) => {
    for (const kind of ["speaker", "setting"] as const) {
      const profile = heard(name, 1, kind);
      const again = await Profile.parse(await profile.toJson());
      expect(again).toEqual(profile);
      again.requireModel(card);
    }
  });

  test("is read again when it is new", async () => {
    const profile = Profile.create("me", card);
    expect(await Profile.parse(await profile.toJson())).toEqual(profile);
  });

  test("is small, and is read again, after very many windows", async () => {
    const profile = heard("me", 1, "speaker", 2_000); // more than engines take as arguments
    const text = await profile.toJson();
    expect(text.length).toBeLessThan(6_000);
    expect(await Profile.parse(text)).toEqual(profile);
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
    const { statistics, speech_s, model, kind } = Profile.create("me", card);
    expect([statistics.nWindows, statistics.nRecordings, speech_s]).toEqual([0, 0, 0]);
    expect([statistics.nDims, statistics.mean.length]).toEqual([N_DIMS, nAxes]);
    expect([model.sha256, kind]).toEqual([card.sha256, "speaker"]);
  });

  test.each(Object.entries(names))("may be called %o as in Python: %o", (name, may) => {
    const create = () => Profile.create(name, card);
    if (may) expect(create().name).toBe(name.normalize("NFC"));
    else expect(create).toThrow(`'${name}' is no name for a profile; take letters`);
  });

  test("learns the same in any order, but for rounding", () => {
    const [one, two, three] = [1, 2, 3].map((seed) => heard("me", seed));
    const forth = one.merged(two, three).statistics;
    const back = three.merged(two).merged(one).statistics;
    expect(forth.nWindows).toBe(15);
    expect(forth.nRecordings).toBe(back.nRecordings);
    expect(forth.nSamples).toBe(back.nSamples);
    expect(forth.cells).toEqual(back.cells);
    forth.scatter.flat().forEach((x, i) => {
      expect(x).toBeCloseTo(back.scatter.flat()[i], 10);
    });
    expect(forth).toEqual(merged(merged(one.statistics, two.statistics), three.statistics));
  });

  test("of a setting learns from a recording as from one window", () => {
    const { model, statistics } = heard("me");
    const hall = Profile.create("hall", card, "setting").merged({ model, statistics });
    expect(hall.statistics).toEqual(
      merged(Profile.create("x", card).statistics, asOne(statistics)),
    );
    expect(weightOf(hall.merged(hall).statistics)).toBeCloseTo(
      (2 * weightOf(statistics)) / statistics.nWindows,
      12,
    );
  });

  test("is not taken for one of the other kind", () => {
    const [me, hall] = [heard("me"), heard("hall", 2, "setting")];
    expect(() => me.merged(hall)).toThrow(ProfileError);
    expect(() => me.merged(hall)).toThrow(
      "'hall' is the profile of a setting, not of a speaker; pass it as the option `setting`",
    );
    expect(() => me.requireKind("setting")).toThrow(
      "'me' is the profile of a speaker, not of a setting; pass it as the option `profile`",
    );
    hall.requireKind("setting");
  });

  test("learns nothing from a report made without one", () => {
    const report = { model: heard("me").model, statistics: null };
    expect(() => heard("me").merged(report)).toThrow(
      "profile 'me' cannot learn from a report that was made without voices; analyse with " +
        "a profile, if need be an empty one",
    );
  });

  test("of another model is refused, named and with a remedy", () => {
    const model = { name: "another", version: "2", sha256: "ab".repeat(32) };
    const other = new Profile("me", "speaker", model, heard("me").statistics);
    const said =
      /^profile 'me' is of another 2 \(abababababab\.\.\.\), not of espressivo-tiny \S+ \(\w{12}\.\.\.\): .*create the profile anew$/;
    expect(() => other.requireModel(card)).toThrow(ProfileError);
    expect(() => other.requireModel(card)).toThrow(said);
    expect(() => other.merged(heard("me"))).toThrow(said);
  });

  test("of other dimensions or axes is refused", () => {
    const { model, statistics } = heard("me");
    const other = { ...statistics, nDims: N_DIMS + 1 };
    expect(() => new Profile("me", "speaker", model, other).requireModel(card)).toThrow(
      `profile 'me' has ${N_DIMS + 1} dimensions and ${nAxes} axes, not ${N_DIMS} and ` +
        `${nAxes}; create it anew`,
    );
  });

  test("cannot be made for a model that cannot adapt", () => {
    const create = () => Profile.create("me", { ...card, adaptation: null });
    expect(create).toThrow(ModelError);
    expect(create).toThrow(`${card.name} ${card.version}: cannot adapt to a speaker`);
  });
});
