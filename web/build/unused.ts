/** Modules that the decoders' packages import and that nothing here runs, and their stand-in. */

import path from "node:path";

const NOTHING = path.resolve(import.meta.dirname, "nothing.ts");

// Workers, which not every worker may start; and a parser of files (under the LGPL), which
// mediabunny does here.
export const UNUSED = { "@eshaz/web-worker": NOTHING, "codec-parser": NOTHING };
