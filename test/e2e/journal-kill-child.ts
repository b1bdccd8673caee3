/**
 * Sells on eight lanes at once into the journal named by its first argument and prints `sequence hash paymentId` of every
 * entry that was acknowledged, in one write, until it is killed or its disk fails. Started by journal-kill.test.ts.
 */
import { writeSync } from "node:fs";
import { openJournal } from "../../agent/journal/sqlite-journal.ts";
import { systemClock } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import { type PaymentId, systemRandom, type TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { currencyOf } from "../../base/money.ts";

const LANES = 8;
const [path = "", prefix = ""] = process.argv.slice(2);
// A limit on the size of files is announced by a signal, which would end the process before its write could fail.
process.on("SIGXFSZ", () => undefined);

const say = (line: string): number => writeSync(1, `${line}\n`);
const journal = openJournal({
  path,
  terminalId: "shop-1" as TerminalId,
  clock: systemClock,
  random: systemRandom,
  log: silentLog,
});
say("ready");

async function sell(paymentId: PaymentId): Promise<void> {
  const head = { paymentId, at: new Date().toISOString(), operation: "purchase" } as const;
  const amount = { minor: "100", currency: currencyOf("EUR") };
  const sealed = { keyId: "hub-1", enc: "AAAA", ciphertext: Buffer.from(systemRandom(60)).toString("base64") };
  const intents = await journal.append([{ body: { ...head, kind: "intent", amount } }]);
  for (const entry of intents) say(`${entry.sequence} ${entry.hash} ${paymentId}`);
  const outcome = { kind: "decision", outcome: "approved", mode: "offline", businessDate: "2026-01-05" } as const;
  const stored = await journal.append([{ body: { ...head, ...outcome, amount, attempts: [] }, forward: true, sealed }]);
  for (const entry of stored) say(`${entry.sequence} ${entry.hash} ${paymentId}`);
  if (systemRandom(1)[0] === 0) return;
  const sequences = stored.map((entry) => entry.sequence);
  await journal.markForwarding(sequences);
  await journal.settle(stored.map(({ sequence, hash }) => ({ sequence, hash, status: "processed" })));
}

async function lane(name: string): Promise<void> {
  for (let sale = 0; ; sale += 1) await sell(`${prefix}-${name}-${sale}` as PaymentId);
}

const codeOf = (error: unknown): string => (isFault(error) ? error.code : String(error));
try {
  await Promise.all(Array.from({ length: LANES }, (_, at) => lane(String(at))));
} catch (error) {
  say(`failed ${codeOf(error)}`);
  await sell(`${prefix}-after` as PaymentId).catch((later: unknown) => say(`then ${codeOf(later)}`));
  process.exit(0);
}
