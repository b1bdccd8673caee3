/** The dialogue with the verification application of a card. The agent only carries: it holds no key. */
import { fromHex, toHex } from "../../../base/bytes.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { CardSession } from "../../../drivers/capability.ts";
import {
  CARD_ID_BYTES,
  decodeGetDataAnswer,
  ENCRYPTED_DATA_BYTES_MAX,
  getDataCommand,
  type ShownTransaction,
  TAG_CARD_ID,
  TAG_ENCRYPTED_DATA,
  VERIFICATION_AID,
  verifyChallengeCommand,
} from "../../../protocols/card-verification/commands.ts";
import { type CommandApdu, exchange, type ResponseApdu, STATUS } from "../../../protocols/emv/apdu.ts";
import { selectCommand } from "../../../protocols/emv/commands.ts";
import type { CardResponse } from "../../../wire/card-verification.ts";

/** What a card says of itself, in hex. */
export interface CardIdentification {
  readonly cardId: string;
  readonly encryptedCardData: string;
}

/** Throws what the session does, and Fault `codec.invalid` for an answer that cannot be read. */
export async function identify(
  session: CardSession,
  signal: AbortSignal,
): Promise<Result<CardIdentification, "no-application">> {
  const selected = await send(session, selectCommand(VERIFICATION_AID), signal);
  if (selected.status !== STATUS.ok) return fail("no-application");
  const cardId = await getData(session, TAG_CARD_ID, signal);
  const encrypted = await getData(session, TAG_ENCRYPTED_DATA, signal);
  if (cardId?.length !== CARD_ID_BYTES || !encrypted || encrypted.length > ENCRYPTED_DATA_BYTES_MAX)
    return fail("no-application");
  return ok({ cardId: toHex(cardId), encryptedCardData: toHex(encrypted) });
}

/** One command, never repeated (RM3): the card's answer, or the status word of its refusal. */
export async function answerChallenge(
  session: CardSession,
  { cipherChallenge, shown }: { readonly cipherChallenge: string; readonly shown: ShownTransaction },
  signal: AbortSignal,
): Promise<Pick<CardResponse, "answer" | "refused">> {
  const command = verifyChallengeCommand({ cipherChallenge: fromHex(cipherChallenge), shown });
  const { status, data } = await send(session, command, signal);
  if (status === STATUS.ok && data.length > 0 && data.length <= ANSWER_BYTES_MAX) return { answer: toHex(data) };
  return { refused: status.toString(16).padStart(4, "0") };
}

/** The most that the message to the hub takes. */
const ANSWER_BYTES_MAX = 64;

async function getData(session: CardSession, tag: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const { status, data } = await send(session, getDataCommand(tag), signal);
  return status === STATUS.ok ? decodeGetDataAnswer(tag, data) : undefined;
}

const send = (session: CardSession, command: CommandApdu, signal: AbortSignal): Promise<ResponseApdu> =>
  exchange((bytes) => session.transceive(bytes, signal), command);
