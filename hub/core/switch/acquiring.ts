/** What authorisation asks of the switch, within its transactions: questions are noted, decided in an issuer's name, or taken back. */
import { present } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import { isFault } from "../../../base/fault.ts";
import type { RandomBytes } from "../../../base/ids.ts";
import type { Iso8583Message } from "../../../protocols/iso8583/message.ts";
import type { MtiVersion } from "../../../protocols/iso8583/spec.ts";
import { ISSUER_SCRIPTS_MAX } from "../../../wire/authorisation.ts";
import type { CardData } from "../../../wire/card-data.ts";
import type { Metrics } from "../../metrics.ts";
import type { Within } from "../../store/store.ts";
import type { Acquiring, PaymentKey, Question, QuestionedCard, RoutedCard } from "../authorisation/index.ts";
import { rrnOf } from "../issuers/index.ts";
import { routeOf } from "../standin/availability.ts";
import type { Desks } from "./advice-delivery.ts";
import { adviceStore } from "./advice-store.ts";
import type { CardVault } from "./card-vault.ts";
import { exchangeStore, type NewExchange } from "./exchange-store.ts";
import type { Acquirer } from "./institution.ts";
import { noteAnswer } from "./movements.ts";
import type { OpenedParameters } from "./opened-parameters.ts";
import { type FactsInput, factsOf, requestOf, rrnIn } from "./payment-facts.ts";
import { periodStore } from "./period-store.ts";
import { createStandInDesk, type StandInInput } from "./stand-in-desk.ts";

export interface AcquiringOptions {
  readonly acquirer: Acquirer;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly metrics: Pick<Metrics, "count">;
  readonly vault: CardVault;
  readonly desks: Desks;
  readonly opened: OpenedParameters;
}

type HeldCard = RoutedCard & { readonly token: string };

/** Of the row that stands for what a terminal decided itself. */
const TERMINAL_DECIDED = 0;

export function createAcquiring(options: AcquiringOptions): Acquiring {
  const { clock, vault, desks, metrics } = options;
  const standInDesk = createStandInDesk({
    ...options,
    decided: (issuer, decision) => {
      const by = decision.decision === "approve" ? "limits" : decision.decidedBy;
      metrics.count("tillway_hub_stand_in_total", { issuer, decision: decision.decision, by });
    },
  });
  const deskOf = (id: string) => present(desks.get(id), `the institution ${id}`);

  async function cardOf(within: Within, card: QuestionedCard): Promise<HeldCard> {
    if (!("of" in card)) return card;
    const exchange = present(await exchangeStore.first(within, card.of), "what an issuer heard of the original");
    const { institutionId, account: token } = exchange;
    return { institutionId, token, data: vault.open(exchange.card, exchange) };
  }
  async function standIn(within: Within, input: Omit<StandInInput, "institution" | "now">) {
    const { desk, delivery } = deskOf(input.card.institutionId);
    delivery.wake();
    return await standInDesk.decide(within, { ...input, institution: desk.institution, now: clock.now() });
  }
  return {
    async cardOf(reading, key) {
      const first = await exchangeStore.first(reading, key);
      return first && desks.has(first.institutionId) ? first.account : undefined;
    },
    async begin(within, question) {
      const card = await cardOf(within, question.card);
      const { desk } = deskOf(card.institutionId);
      const held = await adviceStore.isHeld(within, card.institutionId, card.token);
      const route = routeOf(desk.availability, { held });
      const sent = route.to === "issuer";
      const { attempt } = question;
      const exchange = await note(within, options, { question, card, attempt, sent, adjusts: adjustedBy(question) });
      if (route.to === "stand-in") return { stoodIn: await standIn(within, { question, card, why: route.why, sent }) };
      const message = readableRequest(desk.institution.spec.version, exchange, card.data);
      return { asking: { institutionId: card.institutionId, question, card, message } };
    },
    async standIn(within, { question, card }, { why, sent }) {
      await exchangeStore[sent ? "end" : "known"](within, question.key, question.attempt);
      return await standIn(within, { question, card, why, sent });
    },
    answered: noteAnswer,
    async withdraw(within, key, attempt, { why, scriptResults }) {
      const exchange = await exchangeStore.get(within, key, attempt);
      if (!exchange) return;
      const { institutionId, account } = exchange;
      await exchangeStore.end(within, key, attempt);
      await adviceStore.put(within, {
        ...{ ...key, institutionId, account, attempt, kind: "reversal", reason: why },
        ...{ approved: false, responseCode: "00", at: clock.now() },
        ...(scriptResults !== undefined && { scriptResults: scriptResults.slice(0, SCRIPT_RESULTS_DIGITS_MAX) }),
      });
      desks.get(institutionId)?.delivery.wake();
    },
    async advise(within, { approvalCode, card: presented, completes, ...about }) {
      const known = await exchangeStore.first(within, about.key);
      const card = presented ?? (known && (await cardOf(within, { of: about.key })));
      if (!card || !desks.has(card.institutionId)) return false;
      const { institutionId, token: account } = card;
      const attempt = TERMINAL_DECIDED;
      const original = completes === undefined ? undefined : await exchangeStore.get(within, about.key, completes);
      const asked = original?.sent ? { completes: original.trace } : {};
      await note(within, options, { question: about, card, attempt, sent: false, ...asked });
      const reason = about.operation === "completion" ? "completion" : "offline";
      await adviceStore.put(within, {
        ...{ ...about.key, institutionId, account, attempt, kind: "advice", reason },
        ...{ approved: true, responseCode: "00", at: clock.now() },
        ...(approvalCode !== undefined && APPROVAL_CODE.test(approvalCode) ? { approvalCode } : {}),
      });
      desks.get(institutionId)?.delivery.wake();
      return true;
    },
  };
}

/** Of each script that he may have sent five bytes (EMV Book 4, A5), in hex: no more keeps his message from being packed. */
const SCRIPT_RESULTS_DIGITS_MAX = ISSUER_SCRIPTS_MAX * 5 * 2;

/** DE 38; a terminal's own word for it may be of another form. */
const APPROVAL_CODE = /^[0-9A-Z]{6}$/;

/** A track that is none is left out: the number and the card's own data say enough to decline by. */
function readableRequest(version: MtiVersion, exchange: NewExchange, { track2, ...card }: CardData): Iso8583Message {
  try {
    return requestOf({ version, exchange, card: { ...card, ...(track2 === undefined ? {} : { track2 }) } });
  } catch (error) {
    if (track2 === undefined || !isFault(error)) throw error;
    return requestOf({ version, exchange, card });
  }
}

interface Noted extends Pick<FactsInput, "question" | "completes"> {
  readonly card: HeldCard;
  readonly attempt: number;
  readonly sent: boolean;
  readonly adjusts?: PaymentKey | undefined;
}

/** Of a tip the sale that it is added to, which its issuer knows it by. */
const adjustedBy = ({ operation, card }: Question): PaymentKey | undefined =>
  operation === "tip" && "of" in card ? card.of : undefined;

async function note(
  within: Within,
  { acquirer, desks, vault, clock }: AcquiringOptions,
  { question, completes, card, attempt, sent, adjusts }: Noted,
): Promise<NewExchange> {
  const { key } = question;
  const { institutionId, token, data } = card;
  const { desk } = present(desks.get(institutionId), `the institution ${institutionId}`);
  const first = (await exchangeStore.first(within, key)) ?? (adjusts && (await exchangeStore.first(within, adjusts)));
  const trace = desk.link.newTrace();
  const exchange: NewExchange = {
    ...{ terminalId: key.terminalId, paymentId: key.paymentId, attempt, institutionId, account: token, trace, sent },
    facts: factsOf({ question, completes, acquirer, rrn: first ? rrnIn(first) : rrnOf(trace) }),
    day: await periodStore.open(within, { institutionId, today: desk.businessDay }),
    card: vault.seal(data, key),
    open: sent,
    at: clock.now(),
  };
  await exchangeStore.put(within, exchange);
  return exchange;
}
