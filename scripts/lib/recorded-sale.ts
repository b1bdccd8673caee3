/** A sale between the kernel and a simulated card in one process, written down as a transcript. */
import { fromHex } from "../../base/bytes.ts";
import type { Result } from "../../base/result.ts";
import { encodeCommand, encodeResponse, exchange, type ResponseApdu } from "../../protocols/emv/apdu.ts";
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
import { transcriptOf } from "../../protocols/emv/kernel/transcript-settings.ts";
import type { Transcript, TranscriptExchange } from "../../protocols/emv/transcript.ts";
import { EmvCard } from "../../sim/card/emv-card.ts";
import { testCaKeys, testRevoked } from "../../sim/card/mint/test-keys.ts";
import { type CardProfile, TEST_AID } from "../../sim/card/profiles.ts";

export interface RecordedSale {
  readonly transcript: Transcript;
  /** Absent when the kernel ended before it had read the card. */
  readonly transaction?: Transaction;
  /** In words, for comparison. */
  readonly outcome: string;
}

const FIVE_ZEROS = fromHex("0000000000");

/** Approves offline up to 100.00 whatever the card's own codes do not forbid. */
export function testTerminal(changes: Partial<TerminalSettings> = {}): TerminalSettings {
  return {
    applications: [
      {
        aid: TEST_AID,
        partial: true,
        version: fromHex("0001"),
        actionCodes: { denial: FIVE_ZEROS, online: FIVE_ZEROS, default: FIVE_ZEROS },
        floorLimitMinor: 10_000,
        random: { targetPercent: 0, maxTargetPercent: 0, thresholdMinor: 0 },
        defaultDdol: fromHex("9F3704"),
        defaultTdol: fromHex("9F0206"),
      },
    ],
    entry: "contact",
    countryCode: fromHex("0276"),
    type: 0x22,
    capabilities: fromHex("2028C8"),
    additionalCapabilities: fromHex("600000C001"),
    data: new Map([[0x9f1c, fromHex("3132333435363738")]]),
    caKeys: testCaKeys(),
    revoked: testRevoked(),
    onExceptionFile: () => false,
    ...changes,
  };
}

export function testSettings(changes: Partial<TransactionSettings> = {}): TransactionSettings {
  return {
    amountMinor: 1_250n,
    otherMinor: 0n,
    type: 0x00,
    currencyCode: fromHex("0978"),
    currencyExponent: 2,
    today: { year: 2026, month: 1, day: 5 },
    time: fromHex("090000"),
    unpredictableNumber: fromHex("A1B2C3D4"),
    randomPercent: 50,
    sequenceCounter: 7,
    forceOnline: false,
    alreadySpentMinor: 0n,
    ...changes,
  };
}

export interface SaleInput {
  readonly profile: CardProfile;
  readonly terminal?: Partial<TerminalSettings>;
  readonly settings?: Partial<TransactionSettings>;
  readonly online?: OnlineResult;
}

/** `online` is what an ARQC meets; unable to go online when absent. */
export async function recordSale(input: SaleInput): Promise<RecordedSale> {
  const { online = { was: "unable", approvable: true } as const } = input;
  const [terminal, settings] = [testTerminal(input.terminal), testSettings(input.settings)];
  const exchanges: TranscriptExchange[] = [];
  const run = playerOf(input.profile, exchanges);
  const wentOnline = { online: false };
  const sale = await play({ run, terminal, settings, online, wentOnline });
  const transcript = transcriptOf({ terminal, settings, exchanges, ...(wentOnline.online && { online }) });
  return { transcript, ...sale };
}

type Run = <T>(phase: Kernel<T>) => Promise<T>;

interface Play {
  readonly run: Run;
  readonly terminal: TerminalSettings;
  readonly settings: TransactionSettings;
  readonly online: OnlineResult;
  readonly wentOnline: { online: boolean };
}

async function play({ run, terminal, settings, online, wentOnline }: Play): Promise<Omit<RecordedSale, "transcript">> {
  const ready = await run(readyTransaction(terminal, settings));
  if (!ready.ok) return { outcome: endOf(ready) };
  const { transaction, proposed } = ready.value;
  const first = await run(firstCryptogram(transaction, proposed));
  if (!first.ok) return { transaction, outcome: endOf(first) };
  if (first.value.type !== "ARQC") return { transaction, outcome: first.value.type };
  wentOnline.online = true;
  const completed = await run(completeTransaction(transaction, online));
  if (!completed.ok) return { transaction, outcome: endOf(completed) };
  return { transaction, outcome: `${completed.value.outcome} ${completed.value.type}` };
}

const endOf = (ended: Result<unknown, KernelEnd>): string => (ended.ok ? "" : `end ${ended.error.code}`);

/** The card's counter stands at 41 before, and its own reset is the reader's. */
function playerOf(profile: CardProfile, exchanges: TranscriptExchange[]): Run {
  const card = new EmvCard({ profile, atc: 41, saveAtc: () => undefined });
  return async (phase) => {
    let step = phase.next();
    while (!step.done) {
      const ask = step.value;
      if (ask.ask === "choose") {
        const first = ask.candidates.findIndex(({ confirm }) => !confirm);
        step = phase.next({ chosen: first < 0 ? undefined : first });
        continue;
      }
      const response: ResponseApdu = await exchange(async (bytes) => card.respond(bytes), ask.command);
      exchanges.push({ command: encodeCommand(ask.command), answer: encodeResponse(response) });
      step = phase.next({ response });
    }
    return step.value;
  };
}
