/** What can go wrong on purpose, as in Python; told apart by `name`, also across threads. */
export class EspressivoError extends Error {
  override readonly name: string = "EspressivoError";
}

/** A recording or an array cannot be read as audio. */
export class AudioError extends EspressivoError {
  override readonly name = "AudioError";
}

/** A model folder is missing, altered, or not one of ours. */
export class ModelError extends EspressivoError {
  override readonly name = "ModelError";
}

/** A speaker's profile is damaged, edited, or of another model. */
export class ProfileError extends EspressivoError {
  override readonly name = "ProfileError";
}

const TREE = { EspressivoError, AudioError, ModelError, ProfileError };

/** Give an error that came from the worker its class back. */
export function revived(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (error.name === "AbortError") return new DOMException(error.message, "AbortError");
  const Kind = TREE[error.name as keyof typeof TREE];
  return Kind && !(error instanceof Kind) ? new Kind(error.message) : error;
}
