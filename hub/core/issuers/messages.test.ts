import { describe, expect, test } from "vitest";
import { money } from "../../../base/money.ts";
import { tagName } from "../../../protocols/emv/ber-tlv.ts";
import { createIso8583Codec } from "../../../protocols/iso8583/codec.ts";
import { type Iso8583Message, subFieldsOf, textOf, tlvOf } from "../../../protocols/iso8583/message.ts";
import { paymentReference, withPaymentReference } from "../../../protocols/iso8583/payment-reference.ts";
import { SPEC_1987_ASCII, SPEC_1987_BCD, SPEC_1987_BINARY, SPEC_1993_ASCII } from "../../../protocols/iso8583/specs.ts";
import { adviceMessage, type IssuerPayment, requestMessage, reversalMessage, rrnOf } from "./messages.ts";
import type { Trace } from "./network.ts";

const trace: Trace = { stan: "000123", transmittedAt: Date.UTC(2026, 0, 5, 9, 15, 7) };
const next: Trace = { stan: "000124", transmittedAt: Date.UTC(2026, 0, 5, 9, 15, 9) };
const PAN = "4761739001010119";

/** With all that must never leave in an advice: 57, 5A, 5F20, 9F1F and 9F20. */
const ICC_DATA =
  "57134761739001010119d22122011143804400000f 5a084761739001010119 5f200456495341 9f1f0131 9f200132 9f02060000000012349f2608a1a2a3a4a5a6a7a8".replaceAll(
    " ",
    "",
  );

const payment: IssuerPayment = {
  terminalId: "counter-7.hall",
  paymentId: "2026-01-05.0001-a-payment-id-of-sixty-four-characters-is-allowed",
  operation: "purchase",
  amount: money(1_234n, "EUR"),
  card: { pan: PAN, expiry: "2212", sequenceNumber: "1", track2: "4761739001010119d22122011143804400000f" },
  entryMode: "chip",
  localTime: "2026-01-05T10:15:06",
  acquirerId: "12345678",
  acceptor: { terminal: "TERM0007", merchant: "MERCHANT0000001", category: "5411" },
  rrn: rrnOf(trace),
  iccData: ICC_DATA,
};

const version = "0";
const request = requestMessage({ version, payment, trace, attempt: 2, of: "financial" });
const standIn = {
  version,
  payment,
  trace: next,
  of: "financial",
  reason: "stand-in-timeout",
  repeat: false,
} as const;
const reversal = {
  version,
  payment,
  trace: next,
  attempt: 2,
  original: { of: "financial", trace },
  reason: "timeout",
  repeat: false,
} as const;

const tagsOf = (message: Iso8583Message) => (tlvOf(message, 55) ?? []).map(({ tag }) => tagName(tag));

describe("messages to issuers", () => {
  test.each([
    ["a purchase", request, "0200"],
    ["a pre-authorisation", requestMessage({ version, payment, trace, attempt: 1, of: "authorisation" }), "0100"],
    [
      "a completion",
      adviceMessage({
        ...standIn,
        decision: { approved: true },
        reason: "completion",
        original: { of: "authorisation", trace },
      }),
      "0220",
    ],
    ["an offline TC", adviceMessage({ ...standIn, decision: { approved: true }, reason: "offline" }), "0220"],
    [
      "a stand-in advice of a 0100",
      adviceMessage({ ...standIn, of: "authorisation", decision: { approved: true } }),
      "0120",
    ],
    ["a stand-in advice of a 0200", adviceMessage({ ...standIn, decision: { approved: true } }), "0220"],
    ["its repeat", adviceMessage({ ...standIn, repeat: true, decision: { approved: true } }), "0221"],
    ["a reversal", reversalMessage(reversal), "0420"],
    ["a repeated reversal", reversalMessage({ ...reversal, repeat: true }), "0421"],
    ["a purchase of 1993", requestMessage({ version: "1", payment, trace, attempt: 1, of: "financial" }), "1200"],
  ])("RM14 %s has its MTI", (_, message, mti) => {
    expect(message.mti).toBe(mti);
  });

  test("RM14 a purchase says who, what, when and where", () => {
    expect(request.fields).toMatchObject({
      2: PAN,
      3: "000000",
      4: "000000001234",
      7: "0105091507",
      11: "000123",
      12: "101506",
      13: "0105",
      14: "2212",
      18: "5411",
      22: "052",
      23: "001",
      25: "00",
      32: "12345678",
      35: "4761739001010119=22122011143804400000",
      37: "600509000123",
      41: "TERM0007",
      42: "MERCHANT0000001",
      49: "978",
    });
    expect(paymentReference(request)).toEqual({
      terminalId: payment.terminalId,
      paymentId: payment.paymentId,
      attempt: 2,
    });
  });

  test("a refund is a credit, and a contactless card read so", () => {
    const refund = requestMessage({
      version,
      payment: { ...payment, operation: "refund", entryMode: "contactless" },
      trace,
      attempt: 1,
      of: "financial",
    });
    expect(refund.fields).toMatchObject({ 3: "200000", 22: "072" });
  });

  test.each(["0", "1"] as const)("a tip is an adjustment, a debit of its own, in version %s", (edition) => {
    const tip = { ...payment, operation: "tip" as const };
    const { mti, fields } = requestMessage({ version: edition, payment: tip, trace, attempt: 1, of: "financial" });
    expect(mti).toBe(`${edition}200`);
    expect(fields).toMatchObject({ 3: "020000", 4: "000000001234", 37: "600509000123" });
  });

  test("RM14 a stood-in decline is told and marked as one", () => {
    const declined = adviceMessage({ ...standIn, decision: { approved: false, responseCode: "61" } });
    expect(declined.fields).toMatchObject({ 39: "61" });
    expect(declined.fields[38]).toBeUndefined();
    const approved = adviceMessage({ ...standIn, decision: { approved: true, approvalCode: "S12345" } });
    expect(approved.fields).toMatchObject({ 38: "S12345", 39: "00" });
  });

  test("RM1 an advice names the payment and no attempt, a reversal the attempt", () => {
    const advice = adviceMessage({ ...standIn, decision: { approved: true } });
    const { terminalId, paymentId } = payment;
    expect(paymentReference(advice)).toEqual({ terminalId, paymentId, reason: "stand-in-timeout" });
    expect(paymentReference(reversalMessage(reversal))).toEqual({
      terminalId,
      paymentId,
      attempt: 2,
      reason: "timeout",
    });
  });

  test.each(["0", "1"] as const)(
    "a purchase with cashback is of processing code 09, and DE 54 tells the cash, in version %s",
    (edition) => {
      const { fields } = requestMessage({
        ...{ version: edition, payment: { ...payment, cashback: money(200n, "EUR") }, trace, attempt: 1 },
        of: "financial",
      });
      expect(fields[3]).toBe("090000");
      expect(fields[4]).toBe("000000001234");
      // Account type 00, amount type 40, ISO 4217, D, twelve digits.
      expect(fields[54]).toBe("0040978D000000000200");
      expect(request.fields[54]).toBeUndefined();
    },
  );

  test("RM14 an original is named by DE 90 in 1987 and by DE 56 in 1993", () => {
    expect(reversalMessage(reversal).fields[90]).toBe(
      `0200${"000123"}${"0105091507"}${"00012345678"}${"0".repeat(11)}`,
    );
    const of1993 = reversalMessage({ ...reversal, version: "1" });
    expect(of1993.fields[56]).toBe(`1200${"000123"}${"260105101506"}08${"12345678"}`);
    expect(of1993.fields[90]).toBeUndefined();
    expect(of1993.fields[24]).toBe("400");
  });

  test("RM14 an advice of a request that never left names no original", () => {
    const advice = adviceMessage({ ...standIn, decision: { approved: true } });
    expect(advice.fields[90]).toBeUndefined();
  });

  test("RM5 an advice carries named tags of DE 55 alone, and no track", () => {
    const advice = adviceMessage({ ...standIn, decision: { approved: true } });
    expect(tagsOf(advice)).toEqual(["9F02", "9F26"]);
    expect(advice.fields[35]).toBeUndefined();
    expect(tagsOf(request)).toEqual(["9F02", "9F26"]);
  });

  test("RM16 data objects that end in the middle do not hold an advice back", () => {
    const cut = { ...payment, iccData: "9f0206000000001234 9f2608a1a2".replaceAll(" ", "") };
    expect(tagsOf(adviceMessage({ ...standIn, payment: cut, decision: { approved: true } }))).toEqual(["9F02"]);
  });

  test("RM13 a reversal carries what became of the issuer's scripts, and no cryptogram", () => {
    const message = reversalMessage({ ...reversal, scriptResults: "2000000001" });
    expect(tagsOf(message)).toEqual(["9F5B"]);
    expect(tagsOf(reversalMessage(reversal))).toEqual([]);
  });

  test("a repeat differs from its first sending in its MTI alone", () => {
    const { mti: _first, ...first } = reversalMessage(reversal);
    const { mti: _repeat, ...repeated } = reversalMessage({ ...reversal, repeat: true });
    expect(repeated).toEqual(first);
  });

  test("1993 has codes of its own for what it decided", () => {
    const declined = { approved: false, responseCode: "51" } as const;
    expect(adviceMessage({ ...standIn, version: "1", decision: declined }).fields[39]).toBe("116");
    expect(adviceMessage({ ...standIn, version: "1", decision: { approved: true } }).fields[39]).toBe("000");
  });

  test("a retrieval reference holds year, day, hour and STAN, also on the last day of a leap year", () => {
    expect(rrnOf(trace)).toBe("600509000123");
    expect(rrnOf({ stan: "999999", transmittedAt: Date.UTC(2028, 11, 31, 23, 59, 59) })).toBe("836623999999");
  });

  test.each([SPEC_1987_ASCII, SPEC_1987_BINARY, SPEC_1987_BCD, SPEC_1993_ASCII])(
    "every message comes back whole in $name",
    (spec) => {
      const codec = createIso8583Codec(withPaymentReference(spec));
      const inVersion = { version: spec.version } as const;
      const messages = [
        requestMessage({ ...inVersion, payment, trace, attempt: 2, of: "financial" }),
        requestMessage({
          ...{ ...inVersion, payment: { ...payment, cashback: money(200n, "EUR") }, trace, attempt: 2 },
          of: "financial",
        }),
        adviceMessage({ ...standIn, ...inVersion, decision: { approved: true, approvalCode: "S12345" } }),
        reversalMessage({ ...reversal, ...inVersion, scriptResults: "2000000001" }),
      ];
      for (const message of messages) {
        const back = codec.unpack(codec.pack(message));
        expect(back.mti).toBe(message.mti);
        expect(paymentReference(back)).toEqual(paymentReference(message));
        for (const de of Object.keys(message.fields).map(Number)) {
          if (de === 48) expect(subFieldsOf(back, de)).toEqual(subFieldsOf(message, de));
          else if (de === 55) expect(tagsOf(back)).toEqual(tagsOf(message));
          else expect(textOf(back, de), `DE ${de}`).toBe(textOf(message, de));
        }
      }
    },
  );
});
