import { describe, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import type { FieldValue, Iso8583Message } from "../../protocols/iso8583/message.ts";
import { referenceFields } from "../../protocols/iso8583/payment-reference.ts";
import { Books } from "./books.ts";
import { type HostPolicy, IssuerHost } from "./host.ts";

const PAN = "4761739001010119";

function bank(policy: Partial<HostPolicy> = {}) {
  const books = new Books();
  books.setAccount(PAN, { expiry: "3012", currency: "978", balanceMinor: 10_000n });
  const counts = new Map<string, number>();
  const host = new IssuerHost({
    books,
    version: "0",
    clock: new ManualClock(),
    policy: () => ({ partial: false, signedOff: false, miscount: false, ...policy }),
    count: (what) => counts.set(what, (counts.get(what) ?? 0) + 1),
  });
  const session = { signedOn: true };
  return { books, counts, session, answer: (message: Iso8583Message) => host.answer(message, session) };
}

const network = (code: string, mti = "0800"): Iso8583Message => ({
  mti,
  fields: { 7: "0105090000", 11: "000001", 32: "12345678", 70: code },
});

const FIELDS: Readonly<Record<number, FieldValue>> = {
  2: PAN,
  3: "000000",
  4: "000000000400",
  7: "0105090000",
  11: "000002",
  14: "3012",
  32: "12345678",
  41: "TERM0007",
  48: referenceFields({ terminalId: "counter-7", paymentId: "p-1", attempt: 1 }),
  49: "978",
};
const purchase = (fields: Readonly<Record<number, FieldValue>> = FIELDS): Iso8583Message => ({ mti: "0200", fields });
const without = (de: number) => Object.fromEntries(Object.entries(FIELDS).filter(([key]) => Number(key) !== de));

describe("cash with a purchase", () => {
  const cash = (amounts: string | undefined): Iso8583Message =>
    purchase({ ...FIELDS, 3: "090000", ...(amounts !== undefined && { 54: amounts }) });
  const code = (message: Iso8583Message, policy: Partial<HostPolicy> = {}) => bank(policy).answer(message)?.fields[39];

  test("is given where the account has the whole amount", () => {
    expect(code(cash("0040978D000000000100"))).toBe("00");
    expect(code(cash("0002978C0000000099000040978D000000000400"))).toBe("00");
  });
  test("never exceeds the amount", () => {
    expect(code(cash("0040978D000000000401"))).toBe("13");
  });
  test.each([undefined, "0040840D000000000100", "0002978D000000000100", "0040978D", ""])(
    "is not understood where DE 54 is %s",
    (amounts) => {
      expect(code(cash(amounts))).toBe("30");
    },
  );
  test("is refused by an issuer who gives none, and a purchase is not", () => {
    expect(code(cash("0040978D000000000100"), { refuseCashback: true })).toBe("57");
    expect(code(purchase(), { refuseCashback: true })).toBe("00");
  });
});

describe("the processing code", () => {
  test.each([
    ["000000", 9_600n],
    ["020000", 9_600n],
    ["200000", 10_400n],
  ])("%s moves money one way", (processing, left) => {
    const { answer, books } = bank();
    expect(answer(purchase({ ...FIELDS, 3: processing }))?.fields).toMatchObject({ 3: processing, 39: "00" });
    expect(books.account(PAN)?.balanceMinor).toBe(left);
  });
  test("of what this issuer does not do is not understood", () => {
    expect(bank().answer(purchase({ ...FIELDS, 3: "310000" }))?.fields[39]).toBe("30");
  });
});

describe("an issuer's host", () => {
  test("answers a purchase with an approval code and what it was asked by", () => {
    expect(bank().answer(purchase())).toMatchObject({
      mti: "0210",
      fields: {
        4: "000000000400",
        7: "0105090000",
        11: "000002",
        32: "12345678",
        38: "000001",
        39: "00",
        41: "TERM0007",
      },
    });
  });

  test("serves who has signed on, and nobody else", () => {
    const { answer, session, counts } = bank();
    session.signedOn = false;
    expect(answer(purchase())).toMatchObject({ fields: { 39: "91" } });
    expect(answer(network("001"))).toMatchObject({ mti: "0810", fields: { 39: "00", 70: "001" } });
    expect(answer(purchase())).toMatchObject({ fields: { 39: "00" } });
    expect(answer(network("002"))).toMatchObject({ fields: { 39: "00" } });
    expect(answer(purchase())).toMatchObject({ fields: { 39: "91" } });
    expect(counts.get("not-served")).toBe(2);
  });

  test("signed off it refuses a sign-on, and answers an echo all the same", () => {
    const { answer, session } = bank({ signedOff: true });
    session.signedOn = false;
    expect(answer(network("001"))).toMatchObject({ fields: { 39: "91" } });
    expect(answer(network("301"))).toMatchObject({ fields: { 39: "00" } });
    expect(session.signedOn).toBe(false);
  });

  test.each([2, 3, 4, 32, 48, 49])("a purchase without DE %i is a format error and moves nothing", (de) => {
    const { answer, books, counts } = bank();
    expect(answer(purchase(without(de)))).toMatchObject({ mti: "0210", fields: { 11: "000002", 39: "30" } });
    expect(books.account(PAN)?.balanceMinor).toBe(10_000n);
    expect(counts.get("malformed")).toBe(1);
  });

  test.each([
    ["a class that it does not serve", { mti: "0600", fields: FIELDS }, "0610"],
    ["a network message that it does not know", network("999"), "0810"],
  ])("refuses %s", (_, message, mti) => {
    expect(bank().answer(message)).toMatchObject({ mti, fields: { 39: "12" } });
  });

  test.each(["0210", "0810", "0240"])("does not answer %s", (mti) => {
    expect(bank().answer({ mti, fields: FIELDS })).toBeUndefined();
  });

  test("RM14 answers a repeat as it answers its first sending", () => {
    const { answer } = bank();
    const reversal = { mti: "0420", fields: FIELDS };
    const first = answer(reversal);
    expect(first).toMatchObject({ mti: "0430", fields: { 39: "25" } });
    expect(answer({ ...reversal, mti: "0421" })).toEqual(first);
  });

  describe("whose totals are asked for", () => {
    const HIS = { 76: "0000000001", 77: "0000000000", 86: "0000000000000000", 88: "0000000000000400" };
    const NET = "D0000000000000400";
    const asked = (fields: Readonly<Record<number, FieldValue>>, mti = "0500"): Iso8583Message => ({
      mti,
      fields: { 7: "0106000001", 11: "000009", 15: "0105", 32: "12345678", 50: "978", ...fields },
    });
    const ours = { ...HIS, 74: "0000000000", 75: "0000000000", 87: "0000000000000000", 89: "0000000000000000" };

    test("RM14 says whether he counts the same, and what he counts, to a request, an advice and its repeat", () => {
      const { answer } = bank();
      answer(purchase());
      for (const [mti, answered] of [
        ["0500", "0510"],
        ["0520", "0530"],
        ["0521", "0530"],
      ] as const)
        expect(answer(asked({ ...ours, 97: NET }, mti))).toMatchObject({
          mti: answered,
          fields: { ...HIS, 39: "00", 66: "1", 97: NET },
        });
      const other = { 39: "95", 66: "2", ...HIS, 97: NET };
      expect(answer(asked({ ...ours, 88: "0000000000000500", 97: NET }))).toMatchObject({ fields: other });
      expect(answer(asked({ ...ours, 97: "C0000000000000400" }))).toMatchObject({ fields: other });
      expect(answer(asked({ ...ours, 15: "0106", 97: NET }))).toMatchObject({ fields: { 39: "95", 66: "2" } });
    });

    test("miscounts by one debit when he is told to", () => {
      const { answer } = bank({ miscount: true });
      answer(purchase());
      expect(answer(asked({ ...ours, 97: NET }))).toMatchObject({ fields: { 39: "95", 66: "2", 76: "0000000002" } });
    });
  });
});
