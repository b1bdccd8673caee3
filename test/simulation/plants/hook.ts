/**
 * Loaded before a worker of a soak: changes the source of one module as it is read, so that the product holds no code of
 * any planted bug. Which one is named by the environment.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { PLANTS } from "./plants.ts";

const ROOT = new URL("../../../", import.meta.url);
const name = process.env["TILLWAY_PLANT"];
const plant = PLANTS.find((each) => each.name === name);
if (!plant) throw new Error(`no bug is called "${name}"; one of ${PLANTS.map((each) => each.name).join(", ")}`);
const target = new URL(plant.file, ROOT).href;

registerHooks({
  load(url, context, nextLoad) {
    if (url !== target) return nextLoad(url, context);
    const source = readFileSync(fileURLToPath(url), "utf8");
    const pieces = source.split(plant.find);
    if (pieces.length !== 2)
      throw new Error(`${plant.name}: ${plant.file} has its text ${pieces.length - 1} times, not once`);
    return { format: "module-typescript", source: pieces.join(plant.replace), shortCircuit: true };
  },
});
