/** A program that opens a card reader, to be watched from outside: `close` closes it and must end by itself, `stay` stays. */
import { hostPidOf, openReader, readerOf, within } from "./card-reader-stand.ts";

const [uri = "", what] = process.argv.slice(2);
const device = await openReader(uri);
process.stdout.write(`${hostPidOf(device)}\n`);
if (what === "stay") {
  device.lost.addEventListener("abort", () => process.exit(1));
} else {
  const session = await readerOf(device).awaitCard(within(5_000));
  await session[Symbol.asyncDispose]();
  await device[Symbol.asyncDispose]();
}
