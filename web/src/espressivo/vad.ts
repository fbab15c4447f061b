import url from "../../../src/espressivo/assets/silero_vad.onnx?url";

/** Where the voice activity detector lies, absolute, since a worker has its own base. */
export default new URL(url, import.meta.url).href;
