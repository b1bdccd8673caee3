/**
 * What the EMV kernel itself costs in a sale: dialogues with a card of the longest keys that CDA allows are recorded first, and
 * then run again with ready answers, so that neither card nor transport is in the figure. And how fast TLV is decoded, beside
 * packages that do it.
 */
import { createRequire } from "node:module";
import { decodeResponse, type ResponseApdu } from "../../protocols/emv/apdu.ts";
import { decodeTlv, type Tlv } from "../../protocols/emv/ber-tlv.ts";
import { completeTransaction } from "../../protocols/emv/kernel/completion.ts";
import { firstCryptogram } from "../../protocols/emv/kernel/first-cryptogram.ts";
import type { Kernel, OnlineResult } from "../../protocols/emv/kernel/kernel.ts";
import { readyTransaction } from "../../protocols/emv/kernel/ready.ts";
import { type RecordedSettings, settingsOfTranscript } from "../../protocols/emv/kernel/transcript-settings.ts";
import type { Transcript } from "../../protocols/emv/transcript.ts";
import { testCaKeys, testRevoked } from "../../sim/card/mint/test-keys.ts";
import { cardProfile } from "../../sim/card/profiles.ts";
import { recordSale } from "../lib/recorded-sale.ts";
import { compared, type Figure, measured, type Pair, percentile, rate } from "./figures.ts";

export interface EmvBenchOptions {
  readonly transactions: number;
  readonly onProgress?: (text: string) => void;
}

export const TRANSACTIONS_DEFAULT = 2_000;
const WARM_UP_TRANSACTIONS = 200;
/** 1984, 1976 and 1640 bits: a longer card's key would not leave room for its signature in the answer (Book 2, Annex D1). */
const LONGEST_KEYS = "common-core";
/** Different unpredictable numbers, and so different signatures. */
const DIALOGUES = 16;

/** `emv.kernel` is a sale that goes online and is approved: two cryptograms, each with the card's signature. */
export async function benchEmv({ transactions, onProgress = () => {} }: EmvBenchOptions): Promise<Figure[]> {
  onProgress(`recording ${DIALOGUES} sales`);
  const transcripts = await Promise.all(Array.from({ length: DIALOGUES }, (_, at) => recorded(at)));
  const dialogues = transcripts.map(dialogueOf);
  const timesMs: number[] = [];
  for (let run = 0; run < WARM_UP_TRANSACTIONS + transactions; run += 1) {
    const dialogue = dialogues[run % dialogues.length];
    if (!dialogue) break;
    const start = performance.now();
    runOnce(dialogue);
    if (run >= WARM_UP_TRANSACTIONS) timesMs.push(performance.now() - start);
    if (run % 500 === 0) onProgress(`transaction ${run} of ${WARM_UP_TRANSACTIONS + transactions}`);
  }
  const figure = (name: string, share: number): Figure => ({
    figure: name,
    value: Number(percentile(timesMs, share).toFixed(3)),
    unit: "ms",
    runs: timesMs.length,
  });
  return [figure("emv.kernel.p50", 0.5), figure("emv.kernel.p99", 0.99), ...(await benchTlv(transcripts, onProgress))];
}

const APPROVED: OnlineResult = { was: "answered", approved: true, responseCode: "00" };

async function recorded(at: number): Promise<Transcript> {
  const { transcript, outcome } = await recordSale({
    profile: cardProfile(LONGEST_KEYS),
    online: APPROVED,
    settings: { amountMinor: 20_000n, unpredictableNumber: Uint8Array.of(0xa1, 0xb2, 0xc3, at) },
  });
  if (outcome !== "approved TC") throw new Error(`the recorded sale ends with ${outcome}, not with an approval online`);
  return transcript;
}

interface Dialogue {
  readonly settings: RecordedSettings;
  readonly answers: readonly ResponseApdu[];
}

const dialogueOf = (transcript: Transcript): Dialogue => ({
  settings: settingsOfTranscript(transcript, {
    caKeys: testCaKeys(),
    revoked: testRevoked(),
    today: { year: 2026, month: 1, day: 5 },
  }),
  answers: transcript.exchanges.flatMap(({ answer }) => (answer ? [decodeResponse(answer)] : [])),
});

function runOnce({ settings: { terminal, settings }, answers }: Dialogue): void {
  let at = 0;
  const run = <T>(phase: Kernel<T>): T => {
    let step = phase.next();
    while (!step.done) {
      const response = answers[at];
      at += 1;
      if (!response) throw new Error("the kernel asks for more than was recorded");
      step = phase.next(step.value.ask === "choose" ? { chosen: 0 } : { response });
    }
    return step.value;
  };
  const ready = run(readyTransaction(terminal, settings));
  const first = ready.ok ? run(firstCryptogram(ready.value.transaction, ready.value.proposed)) : ready;
  const completed = ready.ok && first.ok ? run(completeTransaction(ready.value.transaction, APPROVED)) : first;
  if (!completed.ok || !("outcome" in completed.value) || completed.value.outcome !== "approved") {
    throw new Error("a run of the recorded sale is not approved as the recording was");
  }
}

const TLV_RUNS = 5;
const TLV_WARM_UP_RUNS = 2;
const TLV_RUN_MS = 400;

interface TlvPackage {
  readonly name: string;
  /** What decodes one answer of the card, given once in bytes and once in hex. */
  readonly decoder: (loaded: unknown) => ((bytes: Buffer, hex: string) => unknown) | undefined;
}

const PACKAGES: readonly TlvPackage[] = [
  { name: "node-emv", decoder: (loaded) => nodeEmv(method(loaded, "parse")) },
  { name: "node-tlv", decoder: (loaded) => nodeTlv(method(loaded, "parse")) },
];

type Method = (...given: readonly unknown[]) => unknown;

function method(loaded: unknown, name: string): Method | undefined {
  const found: unknown =
    (typeof loaded === "object" || typeof loaded === "function") && Reflect.get(loaded ?? {}, name);
  return typeof found === "function" ? (...given) => Reflect.apply(found, loaded, given) : undefined;
}

/** Takes hex, and gives the objects to a callback before it returns. */
const nodeEmv = (parse: Method | undefined) =>
  parse &&
  ((_: Buffer, hex: string) => {
    let objects: unknown;
    parse(hex, (parsed: unknown) => {
      objects = parsed;
    });
    return objects;
  });

const nodeTlv = (parse: Method | undefined) => parse && ((bytes: Buffer) => parse(bytes));

/** Objects a second over every answer of the recorded cards, templates and what is in them. */
async function benchTlv(transcripts: readonly Transcript[], onProgress: (text: string) => void): Promise<Figure[]> {
  const answers = transcripts
    .flatMap(({ exchanges }) => exchanges)
    .flatMap(({ answer }) => (answer && answer.length > 2 ? [Buffer.from(answer.subarray(0, -2))] : []));
  const hex = answers.map((answer) => answer.toString("hex").toUpperCase());
  const objects = answers.reduce((sum, answer) => sum + countOf(decodeTlv(answer)), 0);
  const rateOf = async (decode: (bytes: Buffer, hex: string) => unknown): Promise<number> => {
    const passes = await rate(TLV_RUN_MS, () => {
      for (let at = 0; at < answers.length; at += 1) decode(answers[at] ?? Buffer.alloc(0), hex[at] ?? "");
    });
    return passes * objects;
  };
  const figures: Figure[] = [];
  const ours: number[] = [];
  for (const { name, decoder } of PACKAGES) {
    const decode = decoder(load(name));
    onProgress(decode ? `decoding beside ${name}` : `${name}: not run, it is not installed`);
    if (!decode) continue;
    const pairs: Pair[] = [];
    for (let run = -TLV_WARM_UP_RUNS; run < TLV_RUNS; run += 1) {
      const pair = { ours: await rateOf(decodeTlv), reference: await quietly(() => rateOf(decode)) };
      if (run >= 0) pairs.push(pair);
    }
    figures.push(compared({ figure: "emv.tlv", unit: "objects/s", reference: name }, pairs));
  }
  if (figures.length > 0) return figures;
  for (let run = -TLV_WARM_UP_RUNS; run < TLV_RUNS; run += 1) {
    const one = await rateOf(decodeTlv);
    if (run >= 0) ours.push(one);
  }
  return [measured({ figure: "emv.tlv", unit: "objects/s" }, ours)];
}

const countOf = (objects: readonly Tlv[]): number =>
  objects.reduce((sum, object) => sum + 1 + ("children" in object ? countOf(object.children) : 0), 0);

/** node-emv writes two lines for every long object, which would be among the figures. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const { log } = console;
  console.log = () => {};
  try {
    return await work();
  } finally {
    console.log = log;
  }
}

const require = createRequire(import.meta.url);

/** They are there for this bench alone, and a machine that only sells has none of them. */
function load(name: string): unknown {
  try {
    return require(name);
  } catch {
    return undefined;
  }
}
