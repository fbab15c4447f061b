/** The samples of one track, with their time stamps. */

import { AudioSampleSink } from "mediabunny";
import { AudioError, NotDecodable } from "../errors";
import { codecOf, isUncompressed } from "./codec";
import { type Piece, pieceOf, withoutEnd } from "./pieces";
import { Pump } from "./pump";
import { PRE_ROLL_S, type Source, waited } from "./source";

/** Decode a track from shortly before `from_s`; return the number of damaged packets. */
export async function* decoded(
  source: Source,
  from_s: number,
): AsyncGenerator<Piece, number> {
  const config = await source.track.getDecoderConfig();
  if (!config) throw new AudioError(`${source.name}: its codec is unknown`);
  if (isUncompressed(config)) {
    yield* uncompressed(source, from_s);
    return 0;
  }
  const open = await codecOf(config);
  if (!open) throw new NotDecodable(`${source.name}: nothing decodes ${config.codec}`);
  const pump = new Pump(source, config, open);
  try {
    yield* withoutEnd(pump.pieces(from_s), source.padding_s);
    return pump.nBroken;
  } finally {
    pump.close();
  }
}

async function* uncompressed(source: Source, from_s: number): AsyncGenerator<Piece> {
  const samples = new AudioSampleSink(source.track).samples(
    from_s > PRE_ROLL_S ? from_s - PRE_ROLL_S : undefined,
  );
  try {
    for (;;) {
      const { done, value } = await waited(source, samples.next());
      if (done) return;
      yield pieceOf(value, value.timestamp);
      value.close();
    }
  } finally {
    void samples.return();
  }
}
