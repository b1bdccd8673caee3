/**
 * Loaded before a worker of a soak: changes the source of a module as it is read, so that the product holds no code of
 * any planted bug. Which bug is named by the environment.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { patchesOf, planted } from "./plant.ts";
import { PLANTS } from "./plants.ts";

const ROOT = new URL("../../../", import.meta.url);
const name = process.env["TILLWAY_PLANT"];
const plant = PLANTS.find((each) => each.name === name);
if (!plant) throw new Error(`no bug is called "${name}"; one of ${PLANTS.map((each) => each.name).join(", ")}`);
const files = new Map(patchesOf(plant).map(({ file }) => [new URL(file, ROOT).href, file]));

registerHooks({
  load(url, context, nextLoad) {
    const file = files.get(url);
    if (file === undefined) return nextLoad(url, context);
    const source = planted(plant, file, readFileSync(fileURLToPath(url), "utf8"));
    return { format: "module-typescript", source, shortCircuit: true };
  },
});
