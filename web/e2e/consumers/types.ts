import { type Analyzer, loadModel, type Report } from "espressivo";

const analyzer: Analyzer = await loadModel("models/mine/", { assets: "/espressivo/" });
const report: Report = await analyzer.analyze(new Uint8Array(9));
export const emotion: string | null = report.emotion;
