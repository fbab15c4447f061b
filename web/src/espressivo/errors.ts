/** Error classes of the library, as in Python; `name` identifies them across threads. */
export class EspressivoError extends Error {
  override readonly name: string = "EspressivoError";
}

/** Error for a recording or an array that cannot be read as audio. */
export class AudioError extends EspressivoError {
  override readonly name = "AudioError";
}

/** Error for a file that nothing decodes in pieces, while `decodeAudioData` may. */
export class NotDecodable extends AudioError {}

/** Error for a model folder that is missing, altered, or not in our format. */
export class ModelError extends EspressivoError {
  override readonly name = "ModelError";
}

/** Error for a profile that is damaged, edited, or of another model. */
export class ProfileError extends EspressivoError {
  override readonly name = "ProfileError";
}

const TREE = { EspressivoError, AudioError, ModelError, ProfileError };

/** Restore the class of an error that was cloned from the worker. */
export function revived(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (error.name === "AbortError") return new DOMException(error.message, "AbortError");
  const Kind = TREE[error.name as keyof typeof TREE];
  return Kind && !(error instanceof Kind) ? new Kind(error.message) : error;
}
