/** How a simulated card checks the issuer's answer, tag 91 (Book 2, 8.2; the Card Status Update: Book 3, C10). */
import { sameBytes } from "../../base/bytes.ts";
import { arpcMethod1, arpcMethod2, sameCryptogram } from "../../protocols/emv/cryptogram.ts";

export interface IssuerAnswerCheck {
  readonly method: 1 | 2;
  readonly key: Uint8Array;
  readonly arqc: Uint8Array;
  /** Tag 91. */
  readonly data: Uint8Array;
}

export interface IssuerAnswer {
  readonly approves: boolean;
  readonly block: "nothing" | "application" | "card";
}

const METHOD_1_BYTES = 8;
const RESPONSE_CODE_BYTES = 2;
const METHOD_2_BYTES = 4;
const STATUS_UPDATE_BYTES = 4;
const PROPRIETARY_BYTES_MAX = 8;
/** ISO 8583, DE 39: approved, with identification, for a part, VIP. */
const APPROVALS = ["00", "08", "10", "11"].map((code) => new Uint8Array(Buffer.from(code, "ascii")));
const APPROVED = 0x80;
const BLOCK_CARD = 0x40;
const BLOCK_APPLICATION = 0x20;

/** What the issuer says; undefined when it was not the issuer who said it. */
export const checkIssuerAnswer = (check: IssuerAnswerCheck): IssuerAnswer | undefined =>
  check.method === 1 ? byMethod1(check) : byMethod2(check);

function byMethod1({ key, arqc, data }: IssuerAnswerCheck): IssuerAnswer | undefined {
  const responseCode = data.subarray(METHOD_1_BYTES, METHOD_1_BYTES + RESPONSE_CODE_BYTES);
  if (responseCode.length < RESPONSE_CODE_BYTES) return undefined;
  const holds = sameCryptogram(data.subarray(0, METHOD_1_BYTES), arpcMethod1(key, arqc, responseCode));
  return holds ? { approves: APPROVALS.some((code) => sameBytes(code, responseCode)), block: "nothing" } : undefined;
}

function byMethod2({ key, arqc, data }: IssuerAnswerCheck): IssuerAnswer | undefined {
  const cardStatusUpdate = data.subarray(METHOD_2_BYTES, METHOD_2_BYTES + STATUS_UPDATE_BYTES);
  const proprietary = data.subarray(METHOD_2_BYTES + STATUS_UPDATE_BYTES);
  if (cardStatusUpdate.length < STATUS_UPDATE_BYTES || proprietary.length > PROPRIETARY_BYTES_MAX) return undefined;
  const expected = arpcMethod2({ key, arqc, cardStatusUpdate, proprietary });
  if (!sameCryptogram(data.subarray(0, METHOD_2_BYTES), expected)) return undefined;
  const [, second = 0] = cardStatusUpdate;
  const application = second & BLOCK_APPLICATION ? "application" : "nothing";
  return { approves: (second & APPROVED) !== 0, block: second & BLOCK_CARD ? "card" : application };
}
