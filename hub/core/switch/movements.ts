/**
 * What an issuer's answer says that he posted, kept within the transaction that takes the answer. An attempt whose request
 * had no answer is counted once he took the advice of it, or took it back.
 */
import type { Iso8583Message } from "../../../protocols/iso8583/message.ts";
import type { Within } from "../../store/store.ts";
import type { Asked, Asking } from "../authorisation/index.ts";
import { type Posting, postingOf } from "../issuers/index.ts";
import type { Advice } from "./advice-store.ts";
import { type Exchange, exchangeStore } from "./exchange-store.ts";
import { type Movement, movementStore } from "./movement-store.ts";

/** The question has an answer. Its day is open for as long as the question is. */
export async function noteAnswer(within: Within, { question, message }: Asking, asked: Asked): Promise<void> {
  const { key, attempt } = question;
  if (asked.what === "no-answer") return;
  const posting = asked.what === "declined" ? undefined : postingOf(message);
  const exchange = posting && (await exchangeStore.get(within, key, attempt));
  if (posting && exchange) {
    const minor = asked.what === "partly-approved" ? asked.minor : posting.minor;
    await movementStore.put(within, { ...placeOf(exchange), ...posting, minor, back: false });
  }
  await exchangeStore.known(within, key, attempt);
}

export interface Taken {
  readonly advice: Advice;
  readonly message: Iso8583Message;
  /** Of a reversal: there was something to take back. */
  readonly found: boolean;
  /** That counts it: the one that its message names, where this is still open. */
  readonly day: string;
}

/** The issuer has taken an entry of the advice log. */
export async function noteTaken(within: Within, taken: Taken): Promise<void> {
  const { advice } = taken;
  const exchange = await exchangeStore.get(within, advice, advice.attempt);
  if (!exchange) return;
  if (advice.kind === "advice") await noteAdvised(within, taken, exchange);
  else await noteTakenBack(within, taken, exchange);
}

/** An approval that was told stands over whatever the attempts came to. */
async function noteAdvised(within: Within, { advice, message, day }: Taken, exchange: Exchange): Promise<void> {
  const posting = postingOf(message);
  const standing = posting ? await movementStore.standing(within, advice) : [];
  const postedMinor = standing.reduce((sum, { minor }) => sum + minor, 0n);
  if (posting && postedMinor !== posting.minor) {
    const place = { ...placeOf(exchange), day };
    for (const one of standing) await movementStore.put(within, { ...place, ...one, back: true });
    await movementStore.put(within, { ...place, ...posting, back: false });
  }
  await exchangeStore.known(within, advice, advice.attempt === 0 ? "all" : advice.attempt);
}

async function noteTakenBack(
  within: Within,
  { advice, message, found, day }: Taken,
  exchange: Exchange,
): Promise<void> {
  const place = { ...placeOf(exchange), day };
  const posted = (await movementStore.standing(within, advice)).find(({ attempt }) => attempt === advice.attempt);
  const inDoubt = exchange.sent && !exchange.known ? postingOf(message) : undefined;
  const takenBack = posted ?? inDoubt;
  if (found && takenBack) {
    if (!posted) await movementStore.put(within, { ...place, ...takenBack, back: false });
    await movementStore.put(within, { ...place, ...takenBack, back: true });
  }
  await exchangeStore.known(within, advice, advice.attempt);
}

const placeOf = ({
  terminalId,
  paymentId,
  attempt,
  institutionId,
  day,
}: Exchange): Omit<Movement, keyof Posting | "back"> => ({
  ...{ terminalId, paymentId, attempt },
  ...{ institutionId, day },
});
