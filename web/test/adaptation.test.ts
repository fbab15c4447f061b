import { describe, expect, test } from "vitest";
import {
  adapt,
  deviationOf,
  distance,
  infer,
  inferSetting,
  offsetOf,
  type Posterior,
  priorDeviation,
  spread,
} from "../src/espressivo/adaptation";
import type { AdaptationCard } from "../src/espressivo/card";
import { warningOfSeveral, warningsOf } from "../src/espressivo/history";
import type { Adaptation } from "../src/espressivo/report";
import {
  asOne,
  emptyStatistics,
  merged,
  type WindowStatistics,
  withWindow,
} from "../src/espressivo/window-statistics";
import {
  golden,
  type Packed,
  type PackedStatistics,
  rows,
  statisticsOf,
  unpacked,
} from "./goldens";
import { bundledCard } from "./graphs";

interface Case {
  readonly speaker: Packed;
  readonly setting: Packed;
  readonly statistics: PackedStatistics;
  readonly posterior: {
    readonly weight: number;
    readonly shares: readonly number[];
    readonly means: Packed;
    readonly covariance: Packed;
    readonly offset: readonly number[];
    readonly deviation: number;
  } | null;
  readonly adapted: Packed;
  readonly spread: number;
  readonly distance: number;
  readonly several: string | null;
}

const python = golden<{
  probabilities: Packed;
  voices: Packed;
  priorDeviation: number;
  cases: Record<string, Case>;
}>("adaptation");

const card = bundledCard().adaptation as AdaptationCard;
const [N_EMOTIONS, N_DIMS] = [card.means.length, card.means[0].length];
const N_COLUMNS = N_DIMS + 1 + card.nAxes;
const plain = rows(python.probabilities, N_EMOTIONS);
const voices = rows(python.voices, N_COLUMNS);

function heard(windows: readonly (readonly number[])[]): WindowStatistics {
  return windows.reduce(
    (statistics, voice, i) => withWindow(statistics, voice, 1_000 * (i + 1)),
    emptyStatistics(N_DIMS, card.nAxes),
  );
}

function requireClose(found: readonly number[], wanted: readonly number[]): void {
  expect(found.length).toBe(wanted.length);
  found.forEach((x, i) => {
    expect(Math.abs(x - wanted[i])).toBeLessThan(1e-9);
  });
}

/** Windows of one emotion, all in the same place. */
function windowsOf(emotion: number, n: number, offset: number): number[][] {
  const place = card.means[emotion].map((x) => x + offset);
  return Array.from({ length: n }, () => [...place, 0, ...Array(card.nAxes).fill(0)]);
}

describe.each(Object.entries(python.cases))("as in Python: %s", (_, wanted) => {
  const [mine, room] = [wanted.speaker, wanted.setting].map((each) =>
    heard(rows(each, N_COLUMNS)),
  );
  const posterior = infer(card, mine, inferSetting(card, room));

  test("the statistics, to the last bit", () => {
    expect(mine).toEqual(statisticsOf(wanted.statistics));
  });

  test("the posterior", () => {
    if (!wanted.posterior || !posterior) {
      expect([wanted.posterior, posterior]).toEqual([null, null]);
      return;
    }
    const shares = posterior.cases.map(({ share }) => share).sort((a, b) => a - b);
    requireClose(shares, wanted.posterior.shares);
    const expected = card.means.map((row, k) =>
      row.map((_, i) =>
        posterior.cases.reduce((sum, { share, means }) => sum + share * means[k][i], 0),
      ),
    );
    requireClose(expected.flat(), unpacked(wanted.posterior.means));
    const variances = unpacked(wanted.posterior.covariance).map((_, i) =>
      posterior.cases.reduce(
        (sum, { share, means, covariance }) =>
          sum + share * (covariance[i][i] + (means.flat()[i] - expected.flat()[i]) ** 2),
        0,
      ),
    );
    requireClose(variances, unpacked(wanted.posterior.covariance));
    requireClose(offsetOf(posterior), wanted.posterior.offset);
    requireClose(
      [deviationOf(posterior), posterior.weight],
      [wanted.posterior.deviation, wanted.posterior.weight],
    );
  });

  test("the adapted probabilities", () => {
    const found = plain.flatMap((row, i) => adapt(card, posterior, row, voices[i]));
    const known = unpacked(wanted.adapted);
    found.forEach((p, i) => {
      expect(Math.abs(p - known[i])).toBeLessThan(2e-7); // in single precision
    });
  });

  test("distance, spread, and a warning of several people", () => {
    requireClose([distance(heard(voices), mine)], [wanted.distance]);
    requireClose([spread(mine)], [wanted.spread]);
    expect(warningOfSeveral(card, mine, "profile 'me'")).toBe(wanted.several);
  });
});

test("the cases warn of two people, and of no other", () => {
  const warned = Object.entries(python.cases).filter(([, { several }]) => several);
  expect(warned.map(([name]) => name)).toEqual(["two people"]);
  requireClose([priorDeviation(card)], [python.priorDeviation]);
});

describe("what follows from a history", () => {
  const nothing = emptyStatistics(N_DIMS, card.nAxes);

  test("of nothing is the plain model, to the last bit", () => {
    for (const [speaker, setting] of [
      [null, null],
      [nothing, null],
      [nothing, nothing],
      [heard(voices.map((voice) => voice.with(N_DIMS, 1))), null], // no speech
    ]) {
      const posterior = infer(card, speaker, inferSetting(card, setting));
      expect(posterior).toBeNull();
      expect(adapt(card, posterior, plain[0], voices[0])).toBe(plain[0]);
    }
  });

  test("is surer, the more was heard", () => {
    const deviations = [1, 4, 16].map((n) => {
      const all = card.means.flatMap((_, k) => windowsOf(k, n, 0.5));
      return deviationOf(infer(card, heard(all)) as Posterior);
    });
    expect(deviations).toEqual([...deviations].sort((a, b) => b - a));
    expect(deviations[0]).toBeLessThan(priorDeviation(card));
  });

  test("does not depend on the order of windows", () => {
    const [one, other] = [heard(voices.slice(0, 3)), heard(voices.slice(3))];
    const found = [merged(one, other), merged(other, one)].map(
      (each) => infer(card, each) as Posterior,
    );
    requireClose(offsetOf(found[0]), offsetOf(found[1]));
  });

  test("moves towards where all emotions were heard", () => {
    const all = card.means.flatMap((_, k) => windowsOf(k, 5, 0.5));
    const offset = offsetOf(infer(card, heard(all)) as Posterior);
    for (const x of offset) expect(x).toBeGreaterThan(0.1);
  });

  test("says nothing of a window that is no speech", () => {
    const posterior = infer(card, heard(voices)) as Posterior;
    const even = Array(N_EMOTIONS).fill(1 / N_EMOTIONS);
    requireClose(adapt(card, posterior, even, voices[0].with(N_DIMS, 1)), even);
  });

  test("of a setting counts recordings, not windows", () => {
    const recordings = voices.map((voice) => asOne(heard([voice, voice, voice])));
    const single = voices.map((voice) => heard([voice]));
    const found = [recordings, single].map((parts) => {
      const setting = parts.reduce((whole, each) => merged(whole, each), nothing);
      return offsetOf(infer(card, null, inferSetting(card, setting)) as Posterior);
    });
    requireClose(found[0], found[1]);
  });
});

test("a voice that does not fit is warned of, and several people", () => {
  const fits = {
    speaker: "Zoë",
    distance: 2,
    distanceLimit: 2,
    several: null,
  } as Adaptation;
  const said =
    "the voice does not fit profile 'Zoë': its distance is 2.1, and 2.0 is rarely exceeded " +
    "by the same voice; is it someone else?";
  expect(warningsOf(null)).toEqual([]);
  expect(warningsOf(fits)).toEqual([]);
  expect(warningsOf({ ...fits, distance: null })).toEqual([]);
  expect(warningsOf({ ...fits, distance: 2.1 })).toEqual([said]);
  expect(warningsOf({ ...fits, distance: 2.1, several: "two" })).toEqual([said, "two"]);
});
