/** Transcripts of simulated cards: they replay to the same decision, byte for byte, and their masked view gives no card number. */
import { expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../base/bytes.ts";
import { decodeCommand, decodeResponse } from "../../protocols/emv/apdu.ts";
import { decodeTlv, flattenTlv, type Tag } from "../../protocols/emv/ber-tlv.ts";
import type { OnlineResult } from "../../protocols/emv/kernel/kernel.ts";
import { type ReplayReport, replayTranscript } from "../../protocols/emv/kernel/replay.ts";
import { settingsOfTranscript, transcriptOf } from "../../protocols/emv/kernel/transcript-settings.ts";
import { decodeCompressed } from "../../protocols/emv/numeric.ts";
import { formatTranscript, maskTranscript, parseTranscript, type Transcript } from "../../protocols/emv/transcript.ts";
import { recordSale, testTerminal } from "../../scripts/lib/recorded-sale.ts";
import { testCaKeys, testRevoked } from "../../sim/card/mint/test-keys.ts";
import { CARD_PROFILES, cardProfile } from "../../sim/card/profiles.ts";

const AROUND = { caKeys: testCaKeys(), revoked: testRevoked(), today: { year: 2000, month: 1, day: 1 } };
const NAMES = CARD_PROFILES.map(({ name }) => name);
const replayed = (transcript: Transcript, mode: "strict" | "lenient" = "strict"): ReplayReport =>
  replayTranscript(transcript, { ...AROUND, mode });

function outcomeOf({ stop, decision }: ReplayReport): string {
  if (stop) return stop.kind === "end" ? `end ${stop.code}` : `${stop.kind} ${JSON.stringify(stop)}`;
  return decision ? `${decision.outcome} ${decision.cryptogram}` : "nothing";
}

const ONLINE = {
  unable: { was: "unable", approvable: true },
  declined: { was: "answered", approved: false, responseCode: "05" },
  approved: {
    was: "answered",
    approved: true,
    responseCode: "00",
    scripts: [fromHex("720F9F180400000001860684180000 0400")],
  },
} as const satisfies Record<string, OnlineResult>;

for (const [online, result] of Object.entries(ONLINE)) {
  test.each(NAMES)(
    `RM6 what the kernel did with the card %s, issuer ${online}, replays byte for byte`,
    async (name) => {
      const settings = { forceOnline: true, amountMinor: 9_999n };
      const sale = await recordSale({ profile: cardProfile(name), online: result, settings });
      const report = replayed(parseTranscript(formatTranscript(sale.transcript)));
      expect(outcomeOf(report)).toContain(sale.outcome);
      if (!sale.transaction || !report.tvr) return;
      expect([report.tvr.value, report.tsi?.value]).toEqual([toHex(sale.transaction.tvr), toHex(sale.transaction.tsi)]);
      expect(report.steps).toEqual(sale.transaction.steps);
    },
  );
}

test("RM6 one changed byte in what the card is told is a named difference with its line", async () => {
  const { transcript } = await recordSale({ profile: cardProfile("standard") });
  const text = formatTranscript(transcript).replace("@ amount 1250", "@ amount 1251");
  const report = replayed(parseTranscript(text));
  expect(report).toMatchObject({ ran: false, stop: { kind: "difference", why: "unexpected-command" } });
  const { line, expected, actual } = report.stop as { line: number; expected: string; actual: string };
  expect(text.split("\n")[line - 1]).toBe(`> ${expected.toUpperCase()}`);
  expect(actual).not.toBe(expected);
});

test("a transcript that goes on after the decision, and one that breaks off, are named", async () => {
  const { transcript } = await recordSale({ profile: cardProfile("standard") });
  const extra = parseTranscript(`${formatTranscript(transcript)}> 80CA9F3600\n< 6A88\n`);
  const short: Transcript = { ...transcript, exchanges: transcript.exchanges.slice(0, -1) };
  const silent = { ...transcript, exchanges: transcript.exchanges.slice(0, 3).map(({ command }) => ({ command })) };
  const whys = [extra, short, silent]
    .map((each) => replayed(each).stop)
    .map((stop) => stop?.kind === "difference" && stop.why);
  expect(whys).toEqual(["transcript-continues", "transcript-ended", "card-silent"]);
});

test("leniently, the dialogue of a terminal that selects and reads in another order is walked through", async () => {
  const { transcript, outcome } = await recordSale({ profile: cardProfile("standard") });
  const instruction = ({ command }: { command: Uint8Array }) => decodeCommand(command).ins;
  const selected = transcript.exchanges.slice(transcript.exchanges.findLastIndex((each) => instruction(each) === 0xa4));
  const records = selected.filter((each) => instruction(each) === 0xb2).reverse();
  const [select, options, ...others] = selected.filter((each) => instruction(each) !== 0xb2);
  if (!select || !options) throw new Error("a dialogue selects and begins");
  const exchanges = [select, options, ...records, ...others];
  expect(replayed({ ...transcript, exchanges }).ran).toBe(false);
  const report = replayed({ ...transcript, exchanges }, "lenient");
  expect(outcomeOf(report)).toContain(outcome);
  expect(report.notes).toEqual(["SELECT 0400: not in the transcript, answered with 6A82"]);
});

test("leniently, another amount is answered from the command of the same header, and a card that signs shows it", async () => {
  const decisions = [];
  for (const name of ["sda", "cda"]) {
    const { transcript } = await recordSale({ profile: cardProfile(name) });
    const other = parseTranscript(formatTranscript(transcript).replace("@ amount 1250", "@ amount 777"));
    const report = replayed(other, "lenient");
    expect(report.notes.some((note) => /^GENERATE AC .*: answered from line \d+/.test(note))).toBe(true);
    decisions.push(outcomeOf(report));
  }
  expect(decisions).toEqual(["approved TC", "declined AAC"]);
});

test("what a terminal writes down gives back its settings", async () => {
  const { transcript } = await recordSale({
    profile: cardProfile("standard"),
    online: ONLINE.approved,
    settings: { forceOnline: true },
  });
  const read = settingsOfTranscript(parseTranscript(formatTranscript(transcript)), AROUND);
  const { onExceptionFile: _, ...expected } = testTerminal();
  expect(read.terminal).toMatchObject(expected);
  const again = transcriptOf({ ...read, exchanges: transcript.exchanges });
  expect(again).toEqual(transcript);
});

/** What the card gave in clear. */
function objectsOf({ exchanges }: Transcript): ReadonlyMap<Tag, Uint8Array> {
  const found = new Map<Tag, Uint8Array>();
  for (const { command, answer } of exchanges) {
    if (!answer || ![0xb2, 0xa4, 0xa8, 0xae, 0x88].includes(decodeCommand(command).ins)) continue;
    try {
      for (const { tag, value } of flattenTlv(decodeTlv(decodeResponse(answer).data))) found.set(tag, value);
    } catch {
      // A lying card's record; its bytes are looked at all the same.
    }
  }
  return found;
}

/** Hexadecimal digits in a row that people see. */
const runsOf = (masked: string): readonly string[] =>
  masked
    .split("\n")
    .filter((line) => /^[<>]/.test(line))
    .flatMap((line) => line.slice(2).split("**"))
    .filter((run) => run.length > 0);

const power = (base: bigint, exponent: bigint, modulus: bigint): bigint => {
  let [result, square] = [1n, base % modulus];
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
};
const number = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);

interface PublicKey {
  readonly modulus: Uint8Array;
  readonly exponent: Uint8Array;
}

/** Whatever opens under a key: header 6A or its likes, trailer BC (Book 2, Annex A2). */
function opened(runs: readonly string[], keys: readonly PublicKey[]): readonly Uint8Array[] {
  return runs.flatMap((run) =>
    keys.flatMap(({ modulus, exponent }) =>
      Array.from({ length: Math.max(run.length / 2 - modulus.length + 1, 0) }, (_, at) => {
        const block = fromHex(run.slice(at * 2, (at + modulus.length) * 2));
        const plain = power(number(block), number(exponent), number(modulus)).toString(16);
        return fromHex(plain.padStart(modulus.length * 2, "0"));
      }).filter((plain) => plain[0] === 0x6a && plain.at(-1) === 0xbc),
    ),
  );
}

/** The keys behind a card, as somebody would get them who has everything in clear: CA, issuer, card. */
function publicKeysOf(objects: ReadonlyMap<Tag, Uint8Array>): readonly PublicKey[] {
  const keys: PublicKey[] = [...testCaKeys()];
  for (const [certificate, remainder, exponent, at] of [
    [0x90, 0x92, 0x9f32, 15],
    [0x9f46, 0x9f48, 0x9f47, 21],
  ] as const) {
    const signed = objects.get(certificate);
    if (!signed) break;
    const [plain] = opened(
      [toHex(signed)],
      keys.filter(({ modulus }) => modulus.length === signed.length),
    );
    if (!plain) break;
    const length = plain[at - 2] ?? 0;
    const modulus = concat(plain.subarray(at, -21), objects.get(remainder) ?? new Uint8Array(0)).subarray(0, length);
    keys.push({ modulus, exponent: objects.get(exponent) ?? fromHex("03") });
  }
  return keys;
}

test.each(NAMES)(
  "RM6 the masked view of the card %s gives no card number to a holder of all public keys",
  async (name) => {
    const { transcript } = await recordSale({ profile: cardProfile(name) });
    const objects = objectsOf(transcript);
    const masked = maskTranscript(transcript);
    const keys = publicKeysOf(objects);
    expect(opened(runsOf(masked), keys)).toEqual([]);
    const pan = objects.get(0x5a);
    if (!pan) return;
    const digits = decodeCompressed(pan);
    for (let at = 0; at + 7 <= digits.length; at += 1) {
      const run = digits.slice(at, at + 7);
      if (new Set(run).size > 2) expect(runsOf(masked).join(" ").toLowerCase()).not.toContain(run);
    }
    const name20 = objects.get(0x5f20);
    if (name20) expect(masked.toLowerCase()).not.toContain(toHex(name20));
  },
);

test("the search for recoverable certificates finds those of an unmasked transcript, and the card number in them", async () => {
  const { transcript } = await recordSale({ profile: cardProfile("dda") });
  const objects = objectsOf(transcript);
  const keys = publicKeysOf(objects);
  expect(keys.length).toBe(testCaKeys().length + 2);
  const found = opened(runsOf(formatTranscript(transcript)), keys).map(toHex);
  const digits = decodeCompressed(objects.get(0x5a) ?? new Uint8Array(0));
  expect(found.filter((plain) => plain.includes(digits)).length).toBe(1);
  expect(found.length).toBe(3);
});

test("lengths and structure stay in the masked view", async () => {
  const { transcript } = await recordSale({ profile: cardProfile("cda") });
  const [clear, masked] = [formatTranscript(transcript), maskTranscript(transcript)].map((text) =>
    text.split("\n").filter((line) => /^[<>]/.test(line)),
  );
  expect(masked?.map((line) => line.length)).toEqual(clear?.map((line) => line.length));
  expect(masked?.filter((line) => line.startsWith("< 70")).length).toBeGreaterThan(2);
  expect(masked?.some((line) => /^> 80AE/.test(line) && !line.includes("**"))).toBe(true);
});
