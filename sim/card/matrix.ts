/**
 * The matrix: every simulated card in every course that a sale may take, by a real run of the kernel against the card, in one
 * process. What must come out is written by hand in the test; this is what does come out.
 */
import { assert } from "../../base/assert.ts";
import { fromHex, sameBytes, toHex } from "../../base/bytes.ts";
import { Fault, isFault } from "../../base/fault.ts";
import { type CommandApdu, exchange, type ResponseApdu, STATUS } from "../../protocols/emv/apdu.ts";
import { type CryptogramType, decodeCryptogram, INS } from "../../protocols/emv/commands.ts";
import { completeTransaction } from "../../protocols/emv/kernel/completion.ts";
import { firstCryptogram } from "../../protocols/emv/kernel/first-cryptogram.ts";
import type {
  Kernel,
  KernelEnd,
  OnlineResult,
  TerminalSettings,
  Transaction,
  TransactionSettings,
} from "../../protocols/emv/kernel/kernel.ts";
import { readyTransaction } from "../../protocols/emv/kernel/ready.ts";
import { encodeNumeric } from "../../protocols/emv/numeric.ts";
import { applicationsOf } from "./card-files.ts";
import { EmvCard } from "./emv-card.ts";
import { issuerAnswer } from "./matrix-issuer.ts";
import { testCaKeys, testRevoked } from "./mint/test-keys.ts";
import { CARD_PROFILES, type CardProfile, TEST_AID } from "./profiles.ts";

/** `offline` is under the floor limit and the others above it; whoever asks for the issuer there is told that it is out of reach. */
export const MATRIX_COURSES = ["online approve", "online decline", "unable to go online", "offline"] as const;
export type MatrixCourse = (typeof MATRIX_COURSES)[number];

export interface MatrixCell {
  /** What the card gave, in order. */
  readonly cryptograms: readonly CryptogramType[];
  /** Hex, at the end of the transaction; absent when there never was one. */
  readonly tvr?: string;
  readonly tsi?: string;
  /** With the authorisation response code; or the code of the end without a decision. */
  readonly decision: string;
}

const FLOOR_LIMIT_MINOR = 5_000;
const AMOUNT_MINOR = { above: 6_000n, below: 2_500n } as const;
/** Sales that a card has behind it, all offline. */
const SALES_BEFORE: Readonly<Record<string, number>> = { velocity: 2 };

const TERMINAL: TerminalSettings = {
  applications: [
    {
      aid: TEST_AID,
      partial: true,
      version: fromHex("0001"),
      actionCodes: { denial: new Uint8Array(5), online: new Uint8Array(5), default: new Uint8Array(5) },
      floorLimitMinor: FLOOR_LIMIT_MINOR,
      random: { targetPercent: 0, maxTargetPercent: 0, thresholdMinor: 0 },
      defaultDdol: fromHex("9F3704"),
      defaultTdol: fromHex("9F0206 5F2A02 9A03"),
    },
  ],
  entry: "contact",
  countryCode: fromHex("0276"),
  type: 0x22,
  // Chip; signature and no CVM; SDA, DDA and CDA.
  capabilities: fromHex("2028C8"),
  additionalCapabilities: fromHex("600000C001"),
  data: new Map(),
  caKeys: testCaKeys(),
  revoked: testRevoked(),
  onExceptionFile: () => false,
};

const saleOf = (course: MatrixCourse): TransactionSettings => ({
  amountMinor: course === "offline" ? AMOUNT_MINOR.below : AMOUNT_MINOR.above,
  otherMinor: 0n,
  type: 0x00,
  currencyCode: encodeNumeric(978n, 2),
  currencyExponent: 2,
  today: { year: 2026, month: 1, day: 15 },
  time: fromHex("120000"),
  unpredictableNumber: fromHex("01020304"),
  randomPercent: 99,
  sequenceCounter: 1,
  forceOnline: false,
  alreadySpentMinor: 0n,
});

export async function runMatrixCell(profile: CardProfile, course: MatrixCourse): Promise<MatrixCell> {
  const desk = new Desk(profile);
  try {
    return await desk.sell(course);
  } catch (error) {
    if (isFault(error, "card.mute")) return { cryptograms: desk.cryptograms, decision: "mute" };
    throw error;
  }
}

/** A card, and a terminal with nothing between them. */
class Desk {
  readonly cryptograms: CryptogramType[] = [];
  readonly #profile: CardProfile;
  readonly #card: EmvCard;

  constructor(profile: CardProfile) {
    this.#profile = profile;
    this.#card = new EmvCard({ profile, atc: SALES_BEFORE[profile.name] ?? 0, saveAtc: () => undefined });
  }

  async sell(course: MatrixCourse): Promise<MatrixCell> {
    const ready = await this.#run(readyTransaction(TERMINAL, saleOf(course)));
    if (!ready.ok) return this.#ended(ready.error);
    const { transaction, proposed } = ready.value;
    const first = await this.#run(firstCryptogram(transaction, proposed));
    if (!first.ok) return this.#ended(first.error, transaction);
    const { type } = first.value;
    if (type !== "ARQC") return this.#decided(transaction, type === "TC" ? "approved" : "declined");
    const completed = await this.#run(completeTransaction(transaction, this.#online(transaction, course)));
    if (!completed.ok) return this.#ended(completed.error, transaction);
    return this.#decided(transaction, completed.value.outcome);
  }

  #online({ values, aid }: Transaction, course: MatrixCourse): OnlineResult {
    if (course === "unable to go online" || course === "offline") return { was: "unable", approvable: true };
    const issued = applicationsOf(this.#profile).find((each) => sameBytes(each.aid, aid));
    assert(issued !== undefined, "the card's applications are issued");
    return issuerAnswer(issued, { values, verdict: course === "online approve" ? "approve" : "decline" });
  }

  /** The cardholder takes the first application on the list. */
  async #run<T>(phase: Kernel<T>): Promise<T> {
    let next = phase.next();
    while (!next.done) {
      const asked = next.value;
      next = phase.next(asked.ask === "choose" ? { chosen: 0 } : { response: await this.#exchange(asked.command) });
    }
    return next.value;
  }

  async #exchange(command: CommandApdu): Promise<ResponseApdu> {
    if (command.ins === this.#profile.muteFrom) throw new Fault("card.mute", "the card does not answer");
    const response = await exchange(async (bytes) => this.#card.respond(bytes), command);
    if (command.ins === INS.generateAc && response.status === STATUS.ok) this.#note(response);
    return response;
  }

  #note({ data }: ResponseApdu): void {
    try {
      this.cryptograms.push(decodeCryptogram(data).type);
    } catch (error) {
      if (!isFault(error)) throw error;
    }
  }

  #decided({ values, tvr, tsi }: Transaction, outcome: "approved" | "declined"): MatrixCell {
    const code = Buffer.from(values.get(0x8a) ?? []).toString("latin1");
    return { cryptograms: this.cryptograms, tvr: hex(tvr), tsi: hex(tsi), decision: `${outcome} ${code}` };
  }

  #ended({ code }: KernelEnd, transaction?: Transaction): MatrixCell {
    const seen = transaction && { tvr: hex(transaction.tvr), tsi: hex(transaction.tsi) };
    return { cryptograms: this.cryptograms, ...seen, decision: code };
  }
}

const hex = (bytes: Uint8Array): string => toHex(bytes).toUpperCase();

/** One line of text for a cell: cryptograms, TVR, TSI, decision. */
export const cellText = ({ cryptograms, tvr = "-", tsi = "-", decision }: MatrixCell): string =>
  [cryptograms.join("+") || "-", tvr, tsi, decision].join(" ");

/** The whole matrix as lines, a profile's cells under its name. */
export async function* matrixLines(): AsyncGenerator<string> {
  const width = Math.max(...MATRIX_COURSES.map((course) => course.length));
  for (const profile of CARD_PROFILES) {
    yield profile.name;
    for (const course of MATRIX_COURSES) {
      yield `  ${course.padEnd(width)}  ${cellText(await runMatrixCell(profile, course))}`;
    }
  }
}
