import { loadModel } from "./espressivo"; // from "espressivo", once it is installed

const input = document.querySelector("input") as HTMLInputElement;
const output = document.querySelector("output") as HTMLOutputElement;
const analyzer = await loadModel("models/espressivo-tiny/");

input.onchange = async () => {
  const file = input.files?.[0];
  if (!file) return;
  try {
    const onProgress = ({ duration_s }: { duration_s: number }) => {
      output.value = `${duration_s.toFixed(0)} s heard`;
    };
    const report = await analyzer.analyze(file, { onProgress });
    output.value = report.emotion ?? "no speech found";
    console.table(report.probabilities);
  } catch (error) {
    output.value = (error as Error).message;
  }
};
