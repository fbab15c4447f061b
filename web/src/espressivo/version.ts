import { version } from "../../package.json" with { type: "json" };

/** Version of the package, the same on npm and PyPI. */
export const VERSION: string = version;
