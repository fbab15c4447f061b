/** What the package offers in browsers and in Node, apart from `loadModel`. */

export {
  type AnalyzeOptions,
  Analyzer,
  Stream,
  type StreamOptions,
} from "./analyzer";
export type { AdaptationCard, Certainty, ModelCard } from "./card";
export { AudioError, EspressivoError, ModelError, ProfileError } from "./errors";
export type { RecordingInput, Samples } from "./inputs";
export { type HasStatistics, type Kind, Profile } from "./profile";
export type { Quality } from "./quality";
export {
  type Adaptation,
  type ModelName,
  Report,
  type ReportFields,
  SCHEMA,
} from "./report";
export {
  DIMENSIONS,
  type Dimension,
  type Dimensions,
  type Distribution,
  EMOTIONS,
  type Emotion,
  type Estimate,
  SAMPLE_RATE,
  type Segment,
  type StreamUpdate,
} from "./types";
export { VERSION } from "./version";
export type { WindowStatistics } from "./window-statistics";
