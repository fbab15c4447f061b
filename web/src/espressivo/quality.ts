/** Quality of the sound, as far as it limits what can be heard in the voice. */

/** Properties of a recording's speech that limit the estimates; null without speech. */
export interface Quality {
  /** Highest frequency with speech. */
  readonly bandwidth_hz: number | null;
  /** Level of the speech (root mean square), in dB re full scale. */
  readonly level_db: number | null;
  /** Share of the samples of the speech that are cut off, 0 to 1. */
  readonly clipped: number | null;
  /** Estimated ratio of speech to noise, in dB. */
  readonly snr_db: number | null;
}
