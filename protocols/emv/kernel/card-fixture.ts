/** A whole card for tests of the kernel's phases, as a script, and the sale that its signatures are made for. */
import { fromHex, toHex } from "../../../base/bytes.ts";
import { bitsOf, TSI, TVR } from "../bits.ts";
import { parseCaKeys } from "../oda/capk.ts";
import { firstSet } from "../oda/oda-fixture.ts";
import { ask, type Objects, text, tlv } from "./dialogue-fixture.ts";
import type { TerminalSettings, Transaction, TransactionSettings } from "./kernel.ts";
import { readyTransaction } from "./ready.ts";
import { namesOf, transactionOf } from "./transaction-fixture.ts";

/**
 * A card whose certificates and signatures oda-made.py made, apart from this code. Its CDOL1 and its answer to GENERATE AC are
 * those over which the Transaction Data Hash Code of that set goes.
 */
export const made = firstSet();
const AID = "F054494C4C574159";
const CDOL1 = "9F02069F03069F3704";
const CDOL2 = "8A0295059F37049108";
/** The answer that the set's signature is over. */
export const SIGNED_TC: Objects = [
  [0x9f27, "40"],
  [0x9f36, "0005"],
  [0x9f10, "06010A03A00000"],
  [0x9f4b, made.cda.signed],
];

export interface CardMaking {
  /** AIP; 6100 has SDA, DDA and CDA, and is what the set's certificates cover. */
  readonly aip?: string;
  readonly pdol?: string;
  readonly cdol1?: string;
  readonly extra?: Objects;
  readonly without?: readonly number[];
  /** By the beginning of a command; the first that fits. */
  readonly answers?: readonly (readonly [command: string, answer: string])[];
  /** To any other command; without it such a command is a mistake of the test. */
  readonly otherwise?: string;
}

/** An answer to GENERATE AC in format 2, with the cryptogram in clear. */
export const plain = (cid: string, ...more: Objects): string =>
  `${tlv([0x77, [[0x9f27, cid], [0x9f36, "0005"], [0x9f26, "0102030405060708"], [0x9f10, "06010A03A00000"], ...more]])}9000`;

const answer = (...objects: Objects): string => `${tlv(...objects)}9000`;
const NAME: Objects = [[0x84, AID]];
const LOCATOR: Objects = [[0x94, "08010401"]];

export function card(making: CardMaking = {}) {
  const { aip = "6100", pdol, cdol1 = CDOL1, extra = [], without = [], answers = [], otherwise } = making;
  const fci: Objects = [[0x50, text("TEST")], ...(pdol === undefined ? [] : [[0x9f38, pdol] as const])];
  const keys = (...tags: readonly string[]): Objects =>
    tags.flatMap((tag) => {
      const value = made.values[tag];
      return value === undefined ? [] : [[Number.parseInt(tag, 16), value] as const];
    });
  const record = (...objects: Objects): string => answer([0x70, objects.filter(([tag]) => !without.includes(tag))]);
  const script: readonly (readonly [string, string])[] = [
    ...answers,
    ["00A404000E", "6A82"],
    ["00A40400", answer([0x6f, [...NAME, [0xa5, fci]]])],
    ["80A8", answer([0x77, [[0x82, aip], ...LOCATOR]])],
    ["00B2010C", "70185A0869999999000000135F24034912315F3401019F4A01829000"],
    ["00B2020C", record([0x8c, cdol1], [0x8d, CDOL2], ...keys("8F", "9F32", "9F47"), ...extra)],
    ["00B2030C", record(...keys("90", "92", "93"))],
    ["00B2040C", record(...keys("9F46", "9F48"))],
    ["0088", answer([0x80, made.dda.signed])],
  ];
  return (command: string): string => {
    const found = script.find(([beginning]) => command.startsWith(beginning))?.[1] ?? otherwise;
    if (found === undefined) throw new Error(`the card has no answer to ${command}`);
    return found;
  };
}

export interface Sale {
  readonly terminal?: Partial<TerminalSettings>;
  readonly settings?: Partial<TransactionSettings>;
}

/** SDA, DDA and CDA: 9F33 byte 3. */
export const ready = ({ terminal, settings }: Sale = {}) => {
  const base = transactionOf({});
  return readyTransaction(
    { ...base.terminal, caKeys: parseCaKeys([made.caKey]), capabilities: fromHex("E028C8"), ...terminal },
    {
      ...base.settings,
      amountMinor: 250n,
      unpredictableNumber: fromHex(made.cda.unpredictableNumber),
      today: { year: 2026, month: 11, day: 15 },
      ...settings,
    },
  );
};

/** The phase played to its end, which must be a transaction. */
export function readied(making: CardMaking = {}, sale: Sale = {}) {
  const { result, commands } = ask(ready(sale), card(making));
  if (!result.ok) throw new Error(result.error.detail);
  return { ...result.value, commands };
}

/** TVR and TSI in words. */
export const flags = ({ tvr, tsi }: Transaction) => ({
  tvr: namesOf(bitsOf(tvr, TVR)),
  tsi: namesOf(bitsOf(tsi, TSI)),
});
export const valueHex = ({ values }: Transaction, tag: number): string => toHex(values.get(tag) ?? fromHex(""));
