import url from "../../../src/espressivo/assets/silero_vad.onnx?url";

/** Absolute URL of the voice activity detector, since a worker has another base URL. */
export default new URL(url, import.meta.url).href;
