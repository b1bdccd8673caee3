import type { Plant } from "./plant.ts";
/** Each is planted alone. */
export const PLANTS: readonly Plant[] = [];
