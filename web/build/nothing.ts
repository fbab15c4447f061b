/** In place of the modules of unused.ts: a class, and the names of properties. */

export default class {}

export const codecFrames = "codecFrames";
export const data = "data";
export const header = "header";
export const isLastPage = "isLastPage";
export const totalSamples = "totalSamples";
export const vorbisComments = "vorbisComments";
export const vorbisSetup = "vorbisSetup";
