// A program that uses the package: prints the reports of a recording, by path and as bytes.
import { readFile } from "node:fs/promises";
import { AudioError, loadModel } from "espressivo";

const [file] = process.argv.slice(2);
const analyzer = await loadModel("espressivo-tiny");
const reports = [
  await analyzer.analyze(file),
  await analyzer.analyze(await readFile(file)),
];
console.log(JSON.stringify(reports.map((report) => report.toDict())));
for (const wrong of ["missing.wav", "."])
  await analyzer.analyze(wrong).catch((error) => {
    if (!(error instanceof AudioError)) throw error;
    console.log(error.message);
  });
const told = (error) => console.log(error.message);
await analyzer.analyze(file, { profile: "me" }).catch(told);
await loadModel(undefined).catch(told);
