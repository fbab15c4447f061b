/**
 * Emotion recognition from speech in the browser; no audio leaves the device.
 *
 * ```ts
 * import { loadModel } from "espressivo";
 *
 * const analyzer = await loadModel("models/espressivo-tiny/");
 * const report = await analyzer.analyze(file);
 * console.log(report.emotion, report.probabilities);
 * ```
 */

export * from "./api";
export { type LoadOptions, loadModel } from "./load";
