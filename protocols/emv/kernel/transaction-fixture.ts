/** Transactions for tests of single decisions: a card, a terminal and a sale in which nothing is wrong, and what a test changes of them. */
import { fromHex } from "../../../base/bytes.ts";
import type { Tag } from "../ber-tlv.ts";
import { type Bit, bitsOf, setBit, TVR } from "../bits.ts";
import type { SupportedApplication, TerminalSettings, Transaction, TransactionSettings } from "./kernel.ts";

export interface Given {
  readonly card?: Readonly<Record<string, string>>;
  readonly terminal?: Partial<TerminalSettings>;
  readonly settings?: Partial<TransactionSettings>;
  readonly application?: Partial<SupportedApplication>;
  readonly aip?: readonly Bit[];
  readonly tvr?: string;
}

export const ZERO_CODES = { denial: new Uint8Array(5), online: new Uint8Array(5), default: new Uint8Array(5) };

export function transactionOf({
  card = {},
  terminal,
  settings,
  application,
  aip = [],
  tvr = "0000000000",
}: Given): Transaction {
  const [tvrBytes, tsi, aipBytes] = [fromHex(tvr), new Uint8Array(2), new Uint8Array(2)];
  for (const bit of aip) setBit(aipBytes, bit);
  const given: [Tag, Uint8Array][] = Object.entries(card).map(([tag, hex]) => [Number.parseInt(tag, 16), fromHex(hex)]);
  const app: SupportedApplication = {
    aid: fromHex("F054494C4C574159"),
    partial: false,
    version: fromHex("1313"),
    actionCodes: ZERO_CODES,
    floorLimitMinor: 10_000,
    random: { targetPercent: 0, maxTargetPercent: 0, thresholdMinor: 0 },
    ...application,
  };
  return {
    terminal: {
      applications: [app],
      entry: "contact",
      countryCode: fromHex("0528"),
      type: 0x22,
      capabilities: fromHex("E028C8"),
      additionalCapabilities: fromHex("F000000000"),
      data: new Map(),
      caKeys: [],
      revoked: [],
      onExceptionFile: () => false,
      ...terminal,
    },
    settings: {
      amountMinor: 5_000n,
      otherMinor: 0n,
      type: 0x00,
      currencyCode: fromHex("0978"),
      currencyExponent: 2,
      today: { year: 2025, month: 5, day: 11 },
      time: fromHex("120000"),
      unpredictableNumber: fromHex("01020304"),
      randomPercent: 99,
      sequenceCounter: 1,
      forceOnline: false,
      alreadySpentMinor: 0n,
      ...settings,
    },
    application: app,
    aid: app.aid,
    label: "TEST",
    values: new Map([...given, [0x95, tvrBytes], [0x9b, tsi]]),
    tvr: tvrBytes,
    tsi,
    aip: aipBytes,
    oda: "none",
    cdaPending: false,
    odaFailure: undefined,
    cvm: "not-performed",
    scriptResults: new Uint8Array(0),
    steps: [],
  };
}

/** The TVR in words. */
export const tvrNames = ({ tvr }: Transaction): readonly string[] => namesOf(bitsOf(tvr, TVR));
export const namesOf = (bits: readonly Bit[]): readonly string[] => bits.map(({ name }) => name);

/** A terminal that supports these applications alone, each as the transaction of this fixture has its own. */
export function terminalWith(
  ...aids: readonly (readonly [aid: string, match: "exact" | "partial"])[]
): TerminalSettings {
  const { terminal, application } = transactionOf({});
  const applications = aids.map(
    ([aid, match]): SupportedApplication => ({ ...application, aid: fromHex(aid), partial: match === "partial" }),
  );
  return { ...terminal, applications };
}
