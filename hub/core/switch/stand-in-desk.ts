/** Decides in an institution's name, and has the advice log say so, within the transaction that answers (system 3). */
import { createHmac, type KeyObject } from "node:crypto";
import type { RandomBytes } from "../../../base/ids.ts";
import { ACCOUNT_PREFIX_DIGITS_MAX, type StandInParameters } from "../../../wire/stand-in.ts";
import { decideStandIn, type StandInDecision, type StandInRequest } from "../../../wire/stand-in-checks.ts";
import type { Within } from "../../store/store.ts";
import { approvalCode, type Question, type RoutedCard, type StoodIn } from "../authorisation/index.ts";
import type { StandInReason } from "../standin/availability.ts";
import { entriesFor } from "../standin/recovery.ts";
import { adviceStore } from "./advice-store.ts";
import type { Acquirer, Institution } from "./institution.ts";
import { institutionStore } from "./institution-store.ts";
import type { OpenedParameters } from "./opened-parameters.ts";

export interface StandInInput {
  readonly institution: Institution;
  readonly question: Question;
  readonly card: RoutedCard & { readonly token: string };
  readonly why: StandInReason;
  /** The issuer may have approved it all the same. */
  readonly sent: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface StandInDesk {
  decide(within: Within, input: StandInInput): Promise<StoodIn>;
}

export interface StandInDeskOptions {
  readonly acquirer: Acquirer;
  readonly random: RandomBytes;
  readonly opened: OpenedParameters;
  /** Told of each decision, which the transaction may still undo. */
  decided(institutionId: string, decision: StandInDecision): void;
}

export function createStandInDesk({ acquirer, random, opened, decided }: StandInDeskOptions): StandInDesk {
  return {
    async decide(within, input) {
      const { institution, question, card, now } = input;
      const { id } = institution;
      const row = await institutionStore.get(within, id);
      const account = await institutionStore.account(within, id, card.token);
      const parameters = opened(institution, row.parameters);
      const decision = decideStandIn({
        parameters,
        request: requestOf({ input, acquirer, parameters }),
        counters: {
          accountCount: account.count,
          accountSumMinor: account.sumMinor,
          institutionSumMinor: row.sumMinor,
          latestAt: row.latestAt,
        },
        now,
      });
      const approved = decision.decision === "approve";
      const counted = approved ? { approved: { account: card.token, minor: question.amount.minor } } : {};
      await institutionStore.count(within, { institutionId: id, at: decision.at, ...counted });
      const stoodIn = toldOf(decision, random);
      await note(within, { ...input, decision, stoodIn });
      decided(id, decision);
      return stoodIn;
    },
  };
}

interface RequestInput {
  readonly input: StandInInput;
  readonly acquirer: Acquirer;
  readonly parameters: StandInParameters | undefined;
}

function requestOf({ input, acquirer, parameters }: RequestInput): StandInRequest {
  const { institution, question, card } = input;
  const { pan } = card.data;
  const key = institution.standIn?.stopListKeys.get(parameters?.account.stopList.keyId ?? "");
  return {
    account: {
      leadingDigits: pan.slice(0, ACCOUNT_PREFIX_DIGITS_MAX),
      ...(key ? { stopListToken: stopListToken(key, pan) } : {}),
    },
    institutionId: institution.id,
    acquirerId: acquirer.id,
    amount: question.amount,
    paymentId: question.key.paymentId,
    terminalId: question.key.terminalId,
    mcc: acquirer.category,
    at: question.at,
    entryMode: question.entryMode ?? "chip",
    type: question.cashback ? "purchase-with-cashback" : question.operation,
  };
}

/** As an institution puts an account on its stop list. */
export const stopListToken = (key: KeyObject, pan: string): string =>
  createHmac("sha256", key).update(pan).digest("hex");

function toldOf(decision: StandInDecision, random: RandomBytes): StoodIn {
  if (decision.decision === "approve") return { approved: true, approvalCode: approvalCode(random) };
  const { responseCode, reason, decidedBy } = decision;
  return { approved: false, responseCode, reason, detail: `${decidedBy}: decided for the issuer, who cannot be asked` };
}

interface Noted extends StandInInput {
  readonly decision: StandInDecision;
  readonly stoodIn: StoodIn;
}

async function note(within: Within, { institution, question, card, why, sent, now, decision, stoodIn }: Noted) {
  const { key, attempt } = question;
  const { approved } = stoodIn;
  for (const kind of entriesFor({ approved, sent })) {
    await adviceStore.put(within, {
      ...key,
      ...{ institutionId: institution.id, account: card.token, attempt, kind, approved, at: now },
      reason: kind === "advice" ? `stand-in-${why}` : "timeout",
      responseCode: decision.responseCode,
      ...(stoodIn.approved ? { approvalCode: stoodIn.approvalCode } : {}),
      ...(decision.decision === "approve" ? {} : { decidedBy: decision.decidedBy }),
    });
  }
}
