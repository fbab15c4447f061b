// A page that uses the package; the same for every bundler.
import { loadModel } from "espressivo";

const analyzer = await loadModel("models/espressivo-tiny/");
window.analyze = async (file) => (await analyzer.analyze(file)).toDict();
document.documentElement.dataset.ready = "true";
