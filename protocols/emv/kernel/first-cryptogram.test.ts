import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../../base/bytes.ts";
import { decodeTlv, encodeTlv, type Tlv } from "../ber-tlv.ts";
import { TSI, TVR } from "../bits.ts";
import type { CryptogramType } from "../commands.ts";
import { published } from "../oda/oda-fixture.ts";
import { flags, made, plain, readied, type Sale, SIGNED_TC, valueHex } from "./card-fixture.ts";
import { completeTransaction } from "./completion.ts";
import { ask, type Objects, play, text, tlv } from "./dialogue-fixture.ts";
import { firstCryptogram } from "./first-cryptogram.ts";
import type { OnlineResult, TerminalSettings, Transaction } from "./kernel.ts";
import { transactionOf } from "./transaction-fixture.ts";

describe("GENERATE AC with a signature", () => {
  const firstOf = (transaction: Transaction, type: CryptogramType, answer: string, second = "6F00") =>
    ask(firstCryptogram(transaction, type), (command) => (command.startsWith("80AE00") ? second : answer));

  test("RM13: the signature is asked for and holds over what was sent and answered", () => {
    const { transaction, proposed } = readied();
    expect(proposed).toBe("TC");
    const { result, commands } = firstOf(transaction, "TC", `${tlv([0x77, SIGNED_TC])}9000`);
    expect(commands).toEqual(["80AE5000100000000002500000000000009F37123400"]);
    expect(result).toEqual({ ok: true, value: { type: "TC", cdaHeld: true } });
    expect(valueHex(transaction, 0x9f26)).toBe(made.cda.cryptogram);
    expect(valueHex(transaction, 0x8a)).toBe(text("Y1"));
    expect(flags(transaction)).toEqual({
      tvr: [],
      tsi: [TSI.odaPerformed.name, TSI.cardRiskManagementPerformed.name, TSI.terminalRiskManagementPerformed.name],
    });
  });

  /** As cited with the vector. */
  function publishedCard() {
    const { cda } = published;
    const data = cda.transactionData;
    const at = data.indexOf("9F2701");
    const transaction = transactionOf({
      card: { "8C": "", "8D": "", "8A": "5931" },
      settings: { unpredictableNumber: fromHex(cda.unpredictableNumber) },
    });
    transaction.oda = "cda";
    transaction.cdaPending = true;
    transaction.combined = {
      icc: { modulus: fromHex(cda.iccModulus), exponent: fromHex("03") },
      sent: [fromHex(data.slice(0, at))],
    };
    const clear = decodeTlv(fromHex(data.slice(at)));
    const objects: readonly Tlv[] = [...clear, { tag: 0x9f4b, value: fromHex(cda.signed) }];
    return { transaction, answer: `${toHex(encodeTlv([{ tag: 0x77, children: objects }]))}9000` };
  }

  test("a published signature over an ARQC holds, and the issuer is asked", () => {
    const { transaction, answer } = publishedCard();
    expect(firstOf(transaction, "ARQC", answer).result).toEqual({ ok: true, value: { type: "ARQC", cdaHeld: true } });
    expect(valueHex(transaction, 0x9f26)).toBe(published.cda.cryptogram.toLowerCase());
    // No terminal's own response code stands while the issuer's is awaited.
    expect(transaction.values.has(0x8a)).toBe(false);
  });

  test("RM13: an approval after the issuer's whose signature fails is a decline", () => {
    const { transaction, answer } = publishedCard();
    firstOf(transaction, "ARQC", answer);
    const online: OnlineResult = { was: "answered", approved: true, responseCode: "00" };
    const { result, commands } = ask(completeTransaction(transaction, online), () => plain("40"));
    expect(commands).toEqual(["80AE500000"]);
    expect(result).toMatchObject({ ok: true, value: { outcome: "declined", type: "AAC" } });
    expect(flags(transaction).tvr).toContain(TVR.cdaFailed.name);
  });

  const unsoundTc: readonly (readonly [string, string])[] = [
    ["another counter", `${tlv([0x77, SIGNED_TC]).replace("9F36020005", "9F36020006")}9000`],
    ["objects in another order", `${tlv([0x77, SIGNED_TC.toReversed()])}9000`],
    ["no signature", plain("40")],
    ["an answer in format 1", `800E4000050102030405060708 0601 0A 9000`],
  ];
  test.each(unsoundTc)("RM13: a TC with %s is a decline, and the card is asked no more", (_what, answer) => {
    const { transaction } = readied();
    const { result, commands } = firstOf(transaction, "TC", answer);
    expect(result).toEqual({ ok: true, value: { type: "AAC", cdaHeld: false } });
    expect(commands.length).toBe(1);
    expect(flags(transaction).tvr).toEqual([TVR.cdaFailed.name]);
    expect(valueHex(transaction, 0x8a)).toBe(text("Z1"));
  });

  test("RM13: an ARQC whose signature fails is ended at once by an AAC, which knows why", () => {
    const { transaction } = readied();
    const { result, commands } = firstOf(transaction, "ARQC", plain("80"), plain("00"));
    expect(result).toEqual({ ok: true, value: { type: "AAC", cdaHeld: false } });
    expect(commands[0]?.slice(0, 8)).toBe("80AE9000");
    // 8A, TVR with CDA failed, unpredictable number, no issuer authentication data.
    expect(commands[1]).toBe(`80AE000013${text("Z1")}04000000009F3712340000000000000000`.toUpperCase().concat("00"));
  });

  test("an AAC is neither asked to be signed nor expected to be", () => {
    const { transaction } = readied();
    const { result, commands } = firstOf(transaction, "AAC", plain("40"), plain("00"));
    expect(result).toEqual({ ok: true, value: { type: "AAC", cdaHeld: undefined } });
    expect(commands[0]?.slice(0, 8)).toBe("80AE0000");
    // Book 2, figure 3.
    expect(flags(transaction).tvr).toEqual([TVR.odaNotPerformed.name]);
    expect(firstOf(readied().transaction, "TC", plain("00")).result).toMatchObject({ value: { type: "AAC" } });
  });
});

// Book 4, 6.3.2.1.
test("a decline after CDA has failed says that it failed, and not that it was never performed", () => {
  const { transaction } = readied({ without: [0x9f46] });
  ask(firstCryptogram(transaction, "AAC"), () => plain("00"));
  expect(flags(transaction).tvr).toEqual([TVR.iccDataMissing.name, TVR.cdaFailed.name]);
});

describe("the first cryptogram", () => {
  const sda: Sale = { terminal: { capabilities: fromHex("E02880") } };
  test.each<[CryptogramType, string, unknown]>([
    ["TC", "40", "TC"],
    ["TC", "80", "ARQC"],
    ["TC", "00", "AAC"],
    ["ARQC", "80", "ARQC"],
    ["ARQC", "00", "AAC"],
    ["ARQC", "40", "card-error"],
    ["AAC", "00", "AAC"],
    ["AAC", "80", "card-error"],
    ["AAC", "40", "card-error"],
    ["TC", "C0", "card-error"],
    ["TC", "01", "not-accepted"],
  ])("asked for %s, a card that answers %s gives %s (Book 3, 9.3 and 10.8)", (type, cid, expected) => {
    for (const answer of [plain(cid), `8012${cid}0005010203040506070806010A03A000009000`]) {
      const { result } = ask(firstCryptogram(readied({}, sda).transaction, type), () => answer);
      expect(result.ok ? result.value.type : result.error.code).toBe(expected);
    }
  });

  test("a refused command ends the transaction with its status", () => {
    const { result } = ask(firstCryptogram(readied({}, sda).transaction, "TC"), () => "6985");
    expect(result).toMatchObject({ ok: false, error: { code: "refused-command", status: 0x6985 } });
  });

  // Book 3, 9.2.2.
  test("a CDOL that asks for the TC hash gets it over the TDOL, and the TVR says when that is the terminal's", () => {
    const { terminal } = transactionOf({});
    const applications = terminal.applications.map((each) => ({ ...each, defaultTdol: fromHex("9F0206") }));
    const hashed = (extra: Objects, list: Partial<TerminalSettings> = {}) => {
      const { transaction } = readied({ cdol1: "9814", extra }, { terminal: { ...sda.terminal, ...list } });
      const { commands, result } = ask(firstCryptogram(transaction, "TC"), () => plain("40"));
      if (!result.ok) return result.error.code;
      return [commands[0], flags(transaction).tvr.includes(TVR.defaultTdolUsed.name)];
    };
    // printf '\x00\x00\x00\x00\x02\x50' | openssl sha1, and openssl sha1 < /dev/null
    const amount = "80AE400014A84EB221AB7DD7B1757B2B0AC173A9557FDD7DFA00";
    expect(hashed([[0x97, "9F0206"]])).toEqual([amount, false]);
    expect(hashed([], { applications })).toEqual([amount, true]);
    expect(hashed([])).toEqual(["80AE400014DA39A3EE5E6B4B0D3255BFEF95601890AFD8070900", false]);
    // 7.5.
    expect(hashed([[0x97, "9F"]])).toBe("data-format");
  });
});

test("a script of exact commands proves that nothing else is sent", () => {
  const { transaction } = readied({}, { terminal: { capabilities: fromHex("E02880") } });
  const { result } = play(firstCryptogram(transaction, "TC"), [
    ["80AE400010 000000000250 000000000000 9F371234 00", plain("40")],
  ]);
  expect(result).toEqual({ ok: true, value: { type: "TC", cdaHeld: undefined } });
  expect(valueHex(transaction, 0x9f27)).toBe("40");
});
