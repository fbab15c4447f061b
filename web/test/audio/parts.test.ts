import { describe, expect, test } from "vitest";
import { Bytes } from "../../src/espressivo/audio/bytes";
import { editsOf } from "../../src/espressivo/audio/edit-list";
import { matroskaEnd, matroskaTimes } from "../../src/espressivo/audio/matroska";
import { mp3Frame, mp3Parts } from "../../src/espressivo/audio/mp3";
import { oggLinks, oggStamps, withoutCutPage } from "../../src/espressivo/audio/ogg";
import { big, blob, box, concatenated, element, mp3, page, repeat, text } from "./bytes";

const BEGIN = 2;
const END = 4;

describe("bytes of a file", () => {
  const content = Uint8Array.from({ length: 5_000_000 }, (_, i) => (i * 7919) % 251);
  const bytes = new Bytes(new Blob([content]));

  test.each([0, 3, 4_194_300, 4_999_990])("can be read from %i", async (at) => {
    expect(await bytes.at(at, 20)).toEqual(content.subarray(at, at + 20));
  });

  test("are found wherever they are", async () => {
    const marked = content.slice();
    for (const at of [4_194_302, 4_999_996]) marked.set(text("OggS"), at);
    const found = new Bytes(new Blob([marked]));
    expect(await found.find("OggS", 0)).toBe(4_194_302);
    expect(await found.find("OggS", 4_194_303)).toBe(4_999_996);
    expect(await found.find("OggS", 4_999_997)).toBe(-1);
  });
});

describe("links of Ogg", () => {
  const link = (serial: number, flags = END) =>
    concatenated(
      page(BEGIN, serial, 0, 19),
      page(0, serial, 0, 300),
      page(flags, serial, 960, 70, 80),
    );
  const ranges = async (...pieces: Uint8Array[]) =>
    (await oggLinks(blob(...pieces))).map(({ from, to }) => [from, to]);

  test("are where streams begin after others", async () => {
    const n = link(1).length;
    expect(await ranges(link(1))).toEqual([[0, n]]);
    expect(await ranges(link(1), link(2), link(3))).toEqual([
      [0, n],
      [n, 2 * n],
      [2 * n, 3 * n],
    ]);
  });

  test("need no flag of an end, and may have one number", async () => {
    const n = link(1).length;
    const wanted = [
      [0, n],
      [n, 2 * n],
    ];
    expect(await ranges(link(1, 0), link(1, 0))).toEqual(wanted);
  });

  test("with two streams at once are one", async () => {
    const both = [page(BEGIN, 1, 0, 19), page(BEGIN, 2, 0, 30), page(0, 1, 5, 9)];
    expect((await ranges(...both)).length).toBe(1);
  });

  test("are found beyond damage", async () => {
    const damaged = concatenated(link(1), new Uint8Array(100));
    expect((await ranges(damaged, link(2))).length).toBe(2);
  });

  test("are none in other files", async () => {
    expect(await ranges(text("RIFFxxxxWAVE"))).toEqual([]);
    expect(await ranges(new Uint8Array(0))).toEqual([]);
  });

  test("state when each page ends", async () => {
    const file = blob(
      page(BEGIN, 7, 0, 19),
      page(0, 7, 0, 300),
      page(0, 8, 5, 10, 10),
      page(0, 7, 1920, 70, 600),
      page(0, 7, -1, 255), // a packet goes on
      page(END, 7, 99_999, 0),
    );
    const { after, end } = await oggStamps(file, 7);
    expect([...after]).toEqual([
      [1, 0],
      [2, 0],
      [4, 1920],
      [6, 99_999],
    ]);
    expect(end).toBe(99_999);
  });

  test("end before a page that was cut", async () => {
    const whole = link(1);
    for (const n of [1, 100, 150, page(END, 1, 960, 70, 80).length - 27]) {
      const kept = await withoutCutPage(blob(whole.subarray(0, whole.length - n)));
      expect(kept.size).toBe(whole.length - page(END, 1, 960, 70, 80).length);
    }
    expect((await withoutCutPage(blob(whole))).size).toBe(whole.length);
  });
});

describe("parts of an MP3", () => {
  const id3 = concatenated(text("ID3"), [4, 0, 0, 0, 0, 1, 2], new Uint8Array(130));
  const ranges = async (...pieces: Uint8Array[]) =>
    (await mp3Parts(blob(...pieces))).map(({ from, to }) => [from, to]);

  test.each([44_100, 48_000, 32_000])("have frames of their rate: %i Hz", (rate) => {
    const frame = mp3({ rate, isMono: true });
    const found = { rate, nChannels: 1, nSamples: 1152, nBytes: frame.length };
    expect(mp3Frame(frame)).toMatchObject(found);
  });

  test("are one where nothing changes", async () => {
    const frames = repeat(mp3(), 20);
    const size = id3.length + frames.length;
    expect(await ranges(id3, frames)).toEqual([[0, size]]);
    const noted = concatenated(mp3({ note: "Info" }), frames);
    expect(await ranges(noted)).toEqual([[0, noted.length]]);
    expect(await ranges(id3, id3, noted, text(`TAG${"x".repeat(125)}`))).toHaveLength(1);
  });

  test.each<[string, Uint8Array]>([
    ["a tag", concatenated(id3, repeat(mp3(), 5))],
    ["a note", concatenated(mp3({ note: "Xing" }), repeat(mp3(), 5))],
    ["a tag and a note", concatenated(id3, mp3({ note: "Info" }), repeat(mp3(), 5))],
    ["another rate", repeat(mp3({ rate: 48_000 }), 5)],
    ["another number of channels", repeat(mp3({ isMono: true }), 5)],
  ])("begin with %s", async (_, second) => {
    const first = repeat(mp3(), 20);
    const wanted = [
      [0, first.length],
      [first.length, first.length + second.length],
    ];
    expect(await ranges(first, second)).toEqual(wanted);
    const parts = await mp3Parts(blob(first, second));
    const isPlayed = second.length % mp3().length === 0 && second[36] === 88;
    expect(parts[1].note_s).toBeCloseTo(isPlayed ? 1152 / 44_100 : 0, 9);
  });

  test("begin after what is no frame", async () => {
    const first = repeat(mp3(), 20);
    const junk = text(`TAG${"x".repeat(125)}`);
    const second = concatenated(id3, repeat(mp3({ rate: 48_000 }), 5));
    const at = first.length + junk.length;
    expect(await ranges(first, junk, second)).toEqual([
      [0, at],
      [at, at + second.length],
    ]);
  });

  test("are none of a file that is no MP3", async () => {
    expect(await ranges(new Uint8Array(10_000))).toEqual([]);
    expect(await ranges(new Uint8Array(0))).toEqual([]);
  });
});

describe("edits of MP4", () => {
  const trak = (id: number, isLong: boolean, ...edits: [number, number][]) => {
    const width = isLong ? 8 : 4;
    const entries = edits.flatMap(([duration, time]) => [
      ...big(duration, width),
      ...big(time, width),
      ...big(0x10000),
    ]);
    const version = isLong ? [1, 0, 0, 0] : [0, 0, 0, 0];
    const times = new Uint8Array(isLong ? 16 : 8);
    return box(
      "trak",
      box("tkhd", version, times, big(id), new Uint8Array(60)),
      box("edts", box("elst", version, big(edits.length), entries)),
      box("mdia", box("mdhd", version, times, big(44_100), new Uint8Array(8))),
    );
  };
  const movie = (...traks: Uint8Array[]) =>
    blob(
      box("ftyp", text("M4A ")),
      box("mdat", new Uint8Array(5_000_000)),
      box("moov", box("mvhd", new Uint8Array(12), big(1000), big(0)), ...traks),
    );

  test.each([false, true])("are read, with 64 bits: %s", async (isLong) => {
    const file = movie(
      trak(1, isLong, [9000, 0]),
      trak(2, isLong, [500, -1], [2000, 44_100], [1000, 441_000]),
    );
    const edits = await editsOf(file, 2);
    // Mediabunny puts second 1 of the track, where the first edit begins, at 0.5 s.
    expect(edits).toEqual([
      { from_s: 0.5, to_s: 2.5, at_s: 0.5 },
      { from_s: 9.5, to_s: 10.5, at_s: 2.5 },
    ]);
    expect(await editsOf(file, 1)).toEqual([{ from_s: 0, to_s: 9, at_s: 0 }]);
  });

  test("without a duration last to the end", async () => {
    const edits = await editsOf(movie(trak(1, false, [0, 1024])), 1);
    expect(edits).toEqual([{ from_s: 0, to_s: Number.POSITIVE_INFINITY, at_s: 0 }]);
  });

  test("are none without a list, without the track, and in other files", async () => {
    expect(await editsOf(movie(), 1)).toEqual([]);
    expect(await editsOf(movie(trak(1, false, [9000, 0])), 3)).toEqual([]);
    expect(await editsOf(blob(text("OggS")), 1)).toEqual([]);
    expect(await editsOf(blob(), 1)).toEqual([]);
  });
});

describe("Matroska", () => {
  const [EBML, SEGMENT, TRACKS, ENTRY] = [0x1a45dfa3, 0x18538067, 0x1654ae6b, 0xae];
  const [NUMBER, DELAY, CLUSTER, TIMESTAMP] = [0xd7, 0x56aa, 0x1f43b675, 0xe7];
  const [SIMPLE, GROUP, BLOCK, PADDING] = [0xa3, 0xa0, 0xa1, 0x75a2];
  const data = new Uint8Array(40);
  const block = (track: number, id: number) =>
    element(id, concatenated([0x80 | track, 0, 0, 0], data));
  const padded = (track: number, ns: number) =>
    element(GROUP, concatenated(block(track, BLOCK), element(PADDING, big(ns, 4), 1)));
  const entry = (number: number, delay: number[]) =>
    element(
      ENTRY,
      concatenated(
        element(NUMBER, [number], 1),
        delay.length ? element(DELAY, delay) : [],
        delay.length ? element(0xe1, element(0xb5, [0x46, 0x7a, 0, 0])) : [],
      ),
    );
  const head = concatenated(
    element(EBML, new Uint8Array(20)),
    element(SEGMENT, null),
    element(0xec, new Uint8Array(100)),
    element(TRACKS, concatenated(entry(1, []), entry(2, big(6_500_000)))),
  );
  const cluster = (...blocks: Uint8Array[]) =>
    element(CLUSTER, concatenated(element(TIMESTAMP, [0], 1), ...blocks));

  test("states the delay and the rate of each track", async () => {
    const file = blob(head, cluster(block(1, SIMPLE)));
    const unknown = { delay_s: 0, rate: 0 };
    expect(await matroskaTimes(file, 1)).toEqual(unknown);
    expect(await matroskaTimes(file, 2)).toEqual({ delay_s: 0.0065, rate: 16_000 });
    expect(await matroskaTimes(file, 3)).toEqual(unknown);
    expect(await matroskaTimes(blob(text("RIFF")), 1)).toEqual(unknown);
  });

  test("states the padding of the last block of each track", async () => {
    const first = cluster(padded(1, 99), block(2, SIMPLE));
    const last = cluster(padded(1, 13_500_000), padded(2, 7), block(2, SIMPLE));
    const file = blob(head, first, last);
    const end = await matroskaEnd(file);
    expect([...end.padding_s]).toEqual([[1, 0.0135]]);
    expect(end.file).toBe(file);
  });

  test("ends with its last whole block", async () => {
    const blocks = [block(1, SIMPLE), block(1, SIMPLE)];
    const whole = concatenated(head, cluster(block(1, SIMPLE)), cluster(...blocks));
    const cut = blob(whole.subarray(0, whole.length - 10));
    const repaired = (await matroskaEnd(cut)).file;
    const wanted = concatenated(head, cluster(block(1, SIMPLE)), cluster(blocks[0]));
    expect(new Uint8Array(await repaired.arrayBuffer())).toEqual(wanted);
  });

  test.each([0, 1, 50])("is left as it is without a cluster: %i bytes", async (n) => {
    const file = blob(head.subarray(0, n));
    expect((await matroskaEnd(file)).file).toBe(file);
  });
});
