/** The simulated disk of this test process, compiled when it must be. */
import { buildVfs } from "../../scripts/lib/build-vfs.ts";
import { SimulatedDisk } from "../../sim/world/disk.ts";

export const simulatedDisk = (): SimulatedDisk => SimulatedDisk.load(buildVfs());
