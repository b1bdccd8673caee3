/** A program that opens a code scanner, to be watched from outside: `close` closes it and must end by itself, `stay` stays. */
import { hostPidOf } from "./card-reader-stand.ts";
import { openScanner } from "./scanner-stand.ts";

const [uri = "", what] = process.argv.slice(2);
const { LD_PRELOAD = "", UMOCKDEV_DIR = "" } = process.env;
const device = await openScanner({ uri, env: { LD_PRELOAD, UMOCKDEV_DIR } });
process.stdout.write(`${hostPidOf(device)}\n`);
if (what === "stay") device.lost.addEventListener("abort", () => process.exit(1));
else await device[Symbol.asyncDispose]();
