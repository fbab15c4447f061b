import { version } from "../../package.json" with { type: "json" };

/** Version of the package, on npm as on PyPI. */
export const VERSION: string = version;
