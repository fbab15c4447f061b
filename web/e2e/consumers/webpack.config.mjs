export default {
  mode: "production",
  entry: "./main.js",
  output: { path: `${import.meta.dirname}/webpack` },
  performance: { hints: false }, // of large files
};
