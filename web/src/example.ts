import { loadModel, type StreamUpdate } from "./espressivo"; // from "espressivo", once installed

const input = document.querySelector("input") as HTMLInputElement;
const output = document.querySelector("output") as HTMLOutputElement;
const analyzer = await loadModel("models/espressivo-tiny/");
input.disabled = false;

const onProgress = ({ duration_s }: StreamUpdate) => {
  output.value = `${duration_s.toFixed(0)} s heard`;
};
input.onchange = async () => {
  try {
    const report = await analyzer.analyze(input.files?.[0] as File, { onProgress });
    const found = report.emotion ?? "no speech found";
    output.value = report.uncertain ? `not sure, perhaps ${found}` : found;
    console.table(report.probabilities);
  } catch (error) {
    output.value = (error as Error).message;
  }
};
