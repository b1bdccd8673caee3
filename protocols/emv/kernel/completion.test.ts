import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../../base/bytes.ts";
import { TSI, TVR } from "../bits.ts";
import { type CardMaking, flags, plain, readied, type Sale, valueHex } from "./card-fixture.ts";
import { completeTransaction } from "./completion.ts";
import { ask, type Objects, text, tlv } from "./dialogue-fixture.ts";
import { firstCryptogram } from "./first-cryptogram.ts";
import type { OnlineResult, Transaction } from "./kernel.ts";

describe("completion", () => {
  const sda: Sale = { terminal: { capabilities: fromHex("E02880") } };
  function online(making: CardMaking = {}): Transaction {
    const { transaction } = readied(making, sda);
    const { result } = ask(firstCryptogram(transaction, "ARQC"), () => plain("80"));
    expect(result).toMatchObject({ value: { type: "ARQC" } });
    return transaction;
  }
  const approved: OnlineResult = { was: "answered", approved: true, responseCode: "00" };
  const complete = (transaction: Transaction, result: OnlineResult, answer: (command: string) => string) =>
    ask(completeTransaction(transaction, result), answer);

  test.each<[string, OnlineResult, string, unknown]>([
    ["80AE40", approved, plain("40"), { outcome: "approved", type: "TC", responseCode: "00" }],
    ["80AE40", approved, plain("00"), { outcome: "declined", type: "AAC", responseCode: "00" }],
    [
      "80AE00",
      { ...approved, approved: false, responseCode: "05" },
      plain("00"),
      { outcome: "declined", type: "AAC", responseCode: "05" },
    ],
    [
      "80AE40",
      { was: "unable", approvable: true },
      plain("40"),
      { outcome: "approved", type: "TC", responseCode: "Y3" },
    ],
    [
      "80AE40",
      { was: "unable", approvable: true },
      plain("00"),
      { outcome: "declined", type: "AAC", responseCode: "Y3" },
    ],
    [
      "80AE00",
      { was: "unable", approvable: false },
      plain("00"),
      { outcome: "declined", type: "AAC", responseCode: "Z3" },
    ],
    ["80AE40", approved, plain("80"), { outcome: "declined", type: "AAC", responseCode: "00" }],
    ["80AE40", approved, plain("C0"), { outcome: "declined", type: "AAC", responseCode: "00" }],
    [
      "80AE00",
      { was: "unable", approvable: false },
      plain("40"),
      { outcome: "declined", type: "AAC", responseCode: "Z3" },
    ],
  ])("%s after %j answered %s", (command, result, answer, expected) => {
    // Absent issuer action codes are all ones, and an offline approval needs a card that says otherwise (RM13).
    const lenient: Objects = [
      [0x9f0d, "0000000000"],
      [0x9f0f, "0000000000"],
    ];
    const { result: completion, commands } = complete(online({ extra: lenient }), result, () => answer);
    expect(commands.map((each) => each.slice(0, 6))).toEqual([command]);
    expect(completion).toEqual({ ok: true, value: expected });
  });

  test("RM13: unable to go online with a default code that the TVR meets is Z3 and an AAC", () => {
    const transaction = online();
    const { result, commands } = complete(transaction, { was: "unable", approvable: true }, () => plain("00"));
    expect(commands[0]?.slice(0, 14)).toBe(`80AE000013${text("Z3").toUpperCase()}`);
    expect(result).toMatchObject({ ok: true, value: { outcome: "declined", responseCode: "Z3" } });
  });

  const ARPC = "1122334455667788";
  const withArpc: OnlineResult = { ...approved, issuerAuthenticationData: fromHex(ARPC) };

  test.each([
    ["9000", []],
    ["6300", [TVR.issuerAuthenticationFailed.name]],
    ["6985", [TVR.issuerAuthenticationFailed.name]],
  ])("EXTERNAL AUTHENTICATE answered %s (Book 3, 10.9)", (status, failed) => {
    const transaction = online({ aip: "4400" });
    const { commands } = complete(transaction, withArpc, (command) =>
      command.startsWith("0082") ? status : plain("40"),
    );
    expect(commands[0]).toBe(`0082000008${ARPC}`);
    expect(flags(transaction).tvr.filter((name) => name.startsWith("Issuer"))).toEqual(failed);
    expect(flags(transaction).tsi).toContain(TSI.issuerAuthenticationPerformed.name);
  });

  // Book 3, 10.9: the TSI tells of a command that was sent.
  test.each([
    ["", []],
    ["11223344556677", [TVR.issuerAuthenticationFailed.name]],
    ["11".repeat(17), [TVR.issuerAuthenticationFailed.name]],
  ])("issuer authentication data %j are not sent, and were never performed", (data, failed) => {
    const transaction = online({ aip: "4400" });
    const { commands } = complete(transaction, { ...approved, issuerAuthenticationData: fromHex(data) }, () =>
      plain("40"),
    );
    expect(commands.map((each) => each.slice(0, 4))).toEqual(["80AE"]);
    expect(flags(transaction).tvr.filter((name) => name.startsWith("Issuer"))).toEqual(failed);
    expect(flags(transaction).tsi).not.toContain(TSI.issuerAuthenticationPerformed.name);
  });

  test("a card without EXTERNAL AUTHENTICATE is given the data through CDOL2", () => {
    const transaction = online({ aip: "4000" });
    const { commands } = complete(transaction, withArpc, () => plain("40"));
    expect(commands.length).toBe(1);
    expect(commands[0]?.endsWith(`${ARPC}00`)).toBe(true);
    expect(flags(transaction).tsi).not.toContain(TSI.issuerAuthenticationPerformed.name);
  });

  const script = (template: number, ...commands: readonly string[]) =>
    fromHex(tlv([template, [[0x9f18, "0A0B0C0D"], ...commands.map((each) => [0x86, each] as const)]]));
  const A = "841E000004AABBCCDD";
  const B = "8418000004AABBCCDD";

  test("RM13: script 71 runs before, 72 after the second GENERATE AC, also on a decline", () => {
    const transaction = online();
    const declined: OnlineResult = {
      was: "answered",
      approved: false,
      responseCode: "05",
      scripts: [script(0x72, B), script(0x71, A)],
    };
    const { commands } = complete(transaction, declined, (command) =>
      command.startsWith("80AE") ? plain("00") : "9000",
    );
    expect(commands.map((each) => each.slice(0, 4))).toEqual(["841E", "80AE", "8418"]);
    expect(toHex(transaction.scriptResults)).toBe("200a0b0c0d200a0b0c0d");
    expect(valueHex(transaction, 0x9f5b)).toBe("200a0b0c0d200a0b0c0d");
    expect(flags(transaction).tsi).toContain(TSI.scriptProcessingPerformed.name);
  });

  test.each<[string, Uint8Array, string, string, string[]]>([
    ["succeeds with a warning", script(0x71, A), "6310", "200a0b0c0d", [A]],
    ["fails at its second command, and sends no third", script(0x71, B, A, B), "6A80", "120a0b0c0d", [B, A]],
    [
      "fails at a later one than it can say",
      script(0x71, ...Array.from({ length: 17 }, () => B), A),
      "6A80",
      "1f0a0b0c0d",
      [...Array.from({ length: 17 }, () => B), A],
    ],
    ["passes over an empty command", script(0x71, "", A), "9000", "200a0b0c0d", [A]],
    ["fails at bytes that are no command", script(0x71, "84"), "9000", "110a0b0c0d", []],
    ["is not performed when it is malformed", fromHex("7105 8699"), "9000", "0000000000", []],
    ["without an identifier has zeros", fromHex(tlv([0x71, [[0x86, A]]])), "9000", "2000000000", [A]],
  ])("a script %s (Book 4, A5)", (_what, bytes, status, expected, sent) => {
    const transaction = online();
    const { result, commands } = complete(transaction, { ...approved, scripts: [bytes] }, (command) =>
      command.startsWith("80AE") ? plain("40") : command.startsWith("841E") ? status : "9000",
    );
    expect(result).toMatchObject({ ok: true, value: { outcome: "approved" } });
    expect(commands.slice(0, -1)).toEqual(sent);
    expect(toHex(transaction.scriptResults)).toBe(expected);
    const failed = !expected.startsWith("2");
    expect(flags(transaction).tvr.includes(TVR.scriptFailedBefore.name)).toBe(failed);
  });

  test("is only of an ARQC", () => {
    const { transaction } = readied({}, sda);
    ask(firstCryptogram(transaction, "TC"), () => plain("40"));
    expect(() => completeTransaction(transaction, approved).next()).toThrow("only an ARQC");
  });
});
