import { loadModel } from "./espressivo"; // from "espressivo", once it is installed

const input = document.querySelector("input") as HTMLInputElement;
const output = document.querySelector("output") as HTMLOutputElement;
const analyzer = await loadModel("models/espressivo-tiny/");

input.onchange = async () => {
  const [file] = input.files ?? [];
  if (!file) return;
  try {
    const report = await analyzer.analyze(file, {
      onProgress: ({ duration_s }) => {
        output.value = `${duration_s.toFixed(0)} s heard`;
      },
    });
    output.value = report.emotion ?? "no speech found";
    console.table(report.probabilities);
  } catch (error) {
    output.value = (error as Error).message;
  }
};
