/** The issuer of the simulated cards, for sales without a hub: checks the cryptogram, answers it, sends scripts. */
import { concat, fromHex } from "../../base/bytes.ts";
import { encodeTlv, type Tag } from "../../protocols/emv/ber-tlv.ts";
import {
  arpcMethod1,
  arpcMethod2,
  deriveMasterKey,
  scriptMac,
  scriptSessionKey,
} from "../../protocols/emv/cryptogram.ts";
import { checkCryptogram } from "../../protocols/emv/cryptogram-versions.ts";
import type { OnlineResult } from "../../protocols/emv/kernel/kernel.ts";
import { decodeCompressed } from "../../protocols/emv/numeric.ts";
import { type ApplicationProfile, TEST_ISSUER_MASTER_KEY, TEST_SCRIPT_MASTER_KEY } from "./profile.ts";

type Answered = Extract<OnlineResult, { was: "answered" }>;

/** What the issuer has on its books of the card; keys are its own, whatever a copied card has. */
export type IssuedCard = Pick<ApplicationProfile, "cryptogramVersion" | "issuerAuthentication" | "scripts">;

const APPROVED = "00";
const DECLINED = "05";
/** Approves, or does not; nothing to change on the card (Book 3, C10). */
const CARD_STATUS = { approved: fromHex("00800000"), declined: fromHex("00000000") } as const;

export function issuerAnswer(
  issued: IssuedCard,
  { values, verdict }: { readonly values: ReadonlyMap<Tag, Uint8Array>; readonly verdict: "approve" | "decline" },
): Answered {
  const pan = decodeCompressed(values.get(0x5a) ?? new Uint8Array(0));
  const keyOf = (issuerMasterKey: Uint8Array) =>
    deriveMasterKey({ issuerMasterKey, pan, sequenceNumber: "01", option: "A" });
  const checked = checkCryptogram(issued.cryptogramVersion ?? 18, keyOf(TEST_ISSUER_MASTER_KEY), values);
  // No answer cryptogram for one who does not know the key.
  if (!checked.ok) return { was: "answered", approved: false, responseCode: DECLINED };
  const { key, cryptogram: arqc } = checked.value;
  const responseCode = verdict === "approve" ? APPROVED : DECLINED;
  const method = issued.issuerAuthentication?.method;
  return {
    was: "answered",
    approved: verdict === "approve",
    responseCode,
    ...(method && { issuerAuthenticationData: answerCryptogram({ method, key, arqc, responseCode }) }),
    ...(issued.scripts && { scripts: scripts(scriptSessionKey(keyOf(TEST_SCRIPT_MASTER_KEY), arqc), arqc) }),
  };
}

interface AnswerInput {
  readonly method: 1 | 2;
  readonly key: Uint8Array;
  readonly arqc: Uint8Array;
  readonly responseCode: string;
}

function answerCryptogram({ method, key, arqc, responseCode }: AnswerInput): Uint8Array {
  if (method === 1) {
    const code = new Uint8Array(Buffer.from(responseCode, "ascii"));
    return concat(arpcMethod1(key, arqc, code), code);
  }
  const cardStatusUpdate = responseCode === APPROVED ? CARD_STATUS.approved : CARD_STATUS.declined;
  return concat(arpcMethod2({ key, arqc, cardStatusUpdate }), cardStatusUpdate);
}

/** PUT DATA of a limit before the second cryptogram, UPDATE RECORD of the terminal's limits after it; MACs in one chain. */
function scripts(key: Uint8Array, arqc: Uint8Array): readonly Uint8Array[] {
  let chaining = arqc;
  const command = (header: string, content: Uint8Array): Uint8Array => {
    const message = concat(fromHex(header), Uint8Array.of(content.length + MAC_BYTES), content);
    chaining = scriptMac({ key, chaining, message });
    return concat(message, chaining);
  };
  const template = (tag: 0x71 | 0x72, identifier: string, sent: Uint8Array): Uint8Array =>
    encodeTlv([
      {
        tag,
        children: [
          { tag: 0x9f18, value: fromHex(identifier) },
          { tag: 0x86, value: sent },
        ],
      },
    ]);
  return [
    template(0x71, "00000001", command("04DA9F58", fromHex("07"))),
    template(0x72, "00000002", command("04DC0124", fromHex("7008 9F140107 9F230109"))),
  ];
}

const MAC_BYTES = 8;
