import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isFault } from "../../base/fault.ts";
import { currencyOf } from "../../base/money.ts";
import { isBic, isIban } from "./bank-account.ts";
import { type CreditTransferInitiation, pain001Text } from "./pain001.ts";
import { escapeXml } from "./xml.ts";

// IBANs of the examples in the SWIFT IBAN registry.
const GB = "GB29NWBK60161331926819";
const DE = "DE89370400440532013000";
const payer = { name: "Tillway & Söhne", iban: DE, bic: "COBADEFFXXX" };
const initiation = (changes: Partial<CreditTransferInitiation> = {}): CreditTransferInitiation => ({
  messageId: "TW-1",
  createdAt: "2026-01-06T08:00:00.000Z",
  executionDate: "2026-01-07",
  debtor: payer,
  currency: currencyOf("EUR"),
  transfers: [
    {
      endToEndId: "TW-1-1",
      minor: 10_050n,
      creditor: { name: "Bar <1>", iban: GB, bic: "NWBKGB2L" },
      remittance: "a",
    },
    { endToEndId: "TW-1-2", minor: 7n, creditor: { name: "Kiosk", iban: DE, bic: "COBADEFF" }, remittance: "b" },
  ],
  ...changes,
});

/** Elements in document order with their depth, and the text of those that have one. */
function outline(xml: string): readonly string[] {
  const lines = xml.trimEnd().split("\n").slice(1);
  return lines.flatMap((line) => {
    const match = /^( *)<([A-Za-z0-9]+)[^>]*>(?:([^<]*)<\/\2>)?$/.exec(line);
    return match ? [`${match[1]}${match[2]}${match[3] === undefined ? "" : `=${match[3]}`}`] : [];
  });
}

describe("pain.001.001.09", () => {
  /**
   * The order of the elements as EPC132-08 2023 V1.0 (SEPA credit transfer, customer to PSP) has it, which restricts the
   * published pain.001.001.09: CustomerCreditTransferInitiationV09, GroupHeader85, PaymentInstruction30 and
   * CreditTransferTransaction34. What is optional there and not written here is left out.
   */
  const ORDER: Readonly<Record<string, readonly string[]>> = {
    Document: ["CstmrCdtTrfInitn"],
    CstmrCdtTrfInitn: ["GrpHdr", "PmtInf"],
    GrpHdr: ["MsgId", "CreDtTm", "NbOfTxs", "CtrlSum", "InitgPty"],
    PmtInf: [
      ...["PmtInfId", "PmtMtd", "BtchBookg", "NbOfTxs", "CtrlSum", "PmtTpInf", "ReqdExctnDt", "Dbtr", "DbtrAcct"],
      ...["DbtrAgt", "ChrgBr", "CdtTrfTxInf"],
    ],
    CdtTrfTxInf: ["PmtId", "Amt", "CdtrAgt", "Cdtr", "CdtrAcct", "RmtInf"],
    PmtTpInf: ["SvcLvl"],
    ReqdExctnDt: ["Dt"],
    CdtrAgt: ["FinInstnId"],
    CdtrAcct: ["Id"],
    Id: ["IBAN"],
    FinInstnId: ["BICFI"],
  };

  test("its elements stand in the published order, each under its own parent", () => {
    const path: string[] = [];
    const children = new Map<string, string[]>();
    for (const line of outline(pain001Text(initiation()))) {
      const depth = line.search(/\S/) / 2;
      const name = line.trim().split("=")[0] ?? "";
      path.length = depth;
      const key = path.join("/");
      children.set(key, [...(children.get(key) ?? []), name]);
      path.push(name);
    }
    for (const [place, found] of children) {
      const wanted = ORDER[place.split("/").at(-1) ?? ""];
      if (!wanted) continue;
      expect({ place, found: [...new Set(found)] }).toEqual({ place, found: wanted });
    }
    expect(children.get("Document/CstmrCdtTrfInitn/PmtInf")?.filter((name) => name === "CdtTrfTxInf")).toHaveLength(2);
  });

  test("number and control sum stand in header and instruction, amounts in the currency's own decimals", () => {
    const xml = pain001Text(initiation());
    expect(xml.match(/<NbOfTxs>2<\/NbOfTxs>/g)).toHaveLength(2);
    expect(xml.match(/<CtrlSum>100\.57<\/CtrlSum>/g)).toHaveLength(2);
    expect(xml).toContain('<InstdAmt Ccy="EUR">100.50</InstdAmt>');
    const yen = pain001Text(initiation({ currency: currencyOf("JPY") }));
    expect(yen).toContain('<InstdAmt Ccy="JPY">10050</InstdAmt>');
    expect(yen).not.toContain("SEPA");
    expect(yen).toContain("<ChrgBr>SHAR</ChrgBr>");
  });

  test("what XML reads as its own is escaped, and what it cannot hold is refused", () => {
    const xml = pain001Text(initiation());
    expect(xml).toContain("<Nm>Tillway &amp; Söhne</Nm>");
    expect(xml).toContain("<Nm>Bar &lt;1&gt;</Nm>");
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 20 }), (text) => {
        try {
          expect(escapeXml(text)).not.toMatch(/[<>"']|&(?!amp;|lt;|gt;|quot;|apos;)/);
        } catch (error) {
          expect(isFault(error, "codec.invalid")).toBe(true);
        }
      }),
    );
    expect(() => escapeXml("a\u0000")).toThrow(/XML/);
    expect(() => escapeXml("a\nb")).toThrow(/XML/);
  });

  test.each([
    ["nobody to pay", { transfers: [] }],
    ["an id of 36 characters", { messageId: "x".repeat(36) }],
    ["an empty id", { messageId: "" }],
    ["a wrong account", { debtor: { ...payer, iban: "DE89370400440532013001" } }],
    ["a wrong bank", { debtor: { ...payer, bic: "COBA" } }],
    ["a name of 71 characters", { debtor: { ...payer, name: "x".repeat(71) } }],
    ["nothing paid", { transfers: [{ endToEndId: "x", minor: 0n, creditor: payer, remittance: "x" }] }],
  ])("%s is a fault", (_, changes) => {
    expect(() => pain001Text(initiation(changes))).toThrow(expect.objectContaining({ name: "Fault" }));
  });
});

test("an IBAN with one digit changed, or two neighbours exchanged, is none", () => {
  expect([GB, DE, "NO9386011117947", "MT84MALT011000012345MTLCAST001S"].map(isIban)).toEqual([true, true, true, true]);
  for (let at = 4; at < DE.length; at += 1) {
    const digit = (Number(DE[at]) + 1) % 10;
    expect(isIban(`${DE.slice(0, at)}${digit}${DE.slice(at + 1)}`)).toBe(false);
    const [a, b] = [DE[at], DE[at + 1]];
    if (b !== undefined && a !== b) expect(isIban(`${DE.slice(0, at)}${b}${a}${DE.slice(at + 2)}`)).toBe(false);
  }
  expect(["", "DE", DE.toLowerCase(), "DE89 3704 0044 0532 0130 00"].map(isIban)).toEqual([false, false, false, false]);
});

test("a BIC has 8 or 11 characters", () => {
  expect(["COBADEFF", "COBADEFFXXX", "COBADEFFXX", "cobadeff", "COBA1EFF"].map(isBic)).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
});
