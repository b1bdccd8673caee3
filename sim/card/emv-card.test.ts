import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../base/bytes.ts";
import { type CommandApdu, decodeResponse, encodeCommand, exchange, STATUS } from "../../protocols/emv/apdu.ts";
import { findValue, flattenTlv } from "../../protocols/emv/ber-tlv.ts";
import {
  type CryptogramType,
  decodeCryptogram,
  decodeProcessingOptions,
  decodeRecord,
  generateAcCommand,
  getProcessingOptionsCommand,
  PPSE_NAME,
  PSE_NAME,
  readRecordCommand,
  selectCommand,
} from "../../protocols/emv/commands.ts";
import { buildDol } from "../../protocols/emv/dol.ts";
import { decodeTrack2, encodeNumeric, luhnHolds } from "../../protocols/emv/numeric.ts";
import { AIP, CDOL1, CDOL2 } from "./card-files.ts";
import { applicationCryptogram, cardMasterKey, retailMac, sessionKey } from "./cryptogram.ts";
import { EmvCard } from "./emv-card.ts";
import { CARD_PROFILES, cardProfile, TEST_AID } from "./profiles.ts";

const PDOL_DATA = fromHex("0276 0978");

function insert(profile = "standard", atc = 0) {
  const saved: number[] = [];
  const card = new EmvCard({ profile: cardProfile(profile), atc, saveAtc: (counter) => saved.push(counter) });
  const send = (command: CommandApdu) => exchange(async (bytes) => card.respond(bytes), command);
  const status = async (command: CommandApdu) => (await send(command)).status;
  return { card, saved, send, status };
}

async function initiated(profile: string) {
  const inserted = insert(profile);
  await inserted.send(selectCommand(TEST_AID));
  await inserted.send(getProcessingOptionsCommand(PDOL_DATA));
  return inserted;
}

const firstData = (minor: bigint) => buildDol(CDOL1, new Map([[0x9f02, encodeNumeric(minor, 6)]]));
const secondData = (minor: bigint, responseCode: string) =>
  buildDol(
    CDOL2,
    new Map([
      [0x8a, new Uint8Array(Buffer.from(responseCode))],
      [0x9f02, encodeNumeric(minor, 6)],
    ]),
  );

describe("keys and cryptograms", () => {
  const vector = JSON.parse(
    readFileSync(new URL("../../test/vectors/emv/retail-mac.json", import.meta.url), "utf8"),
  ) as Readonly<Record<"key" | "text" | "method1" | "method2", string>>;

  test("the MAC is the one that ISO/IEC 9797-1 prints", () => {
    const key = fromHex(vector.key);
    const text = fromHex(vector.text);
    expect(toHex(retailMac(key, text)).toUpperCase()).toBe(vector.method1);
    expect(toHex(applicationCryptogram(key, text)).toUpperCase()).toBe(vector.method2);
  });

  test("every card and every transaction has a key of its own", () => {
    const key = cardMasterKey(cardProfile("standard"));
    expect(key).toHaveLength(16);
    expect(key).not.toEqual(cardMasterKey(cardProfile("second")));
    expect(sessionKey(key, 1)).not.toEqual(sessionKey(key, 2));
  });

  test("the cryptogram covers what the terminal sent, the counter and the card's verdict", async () => {
    const { send } = await initiated("standard");
    const data = firstData(250n);
    const answer = decodeCryptogram((await send(generateAcCommand("TC", data))).data);
    const key = sessionKey(cardMasterKey(cardProfile("standard")), 1);
    const covered = concat(data, AIP, fromHex("0001"), answer.issuerApplicationData);
    expect(answer.cryptogram).toEqual(applicationCryptogram(key, covered));
    const other = await initiated("standard");
    const changed = decodeCryptogram((await other.send(generateAcCommand("TC", firstData(251n)))).data);
    expect(changed.cryptogram).not.toEqual(answer.cryptogram);
  });
});

describe.each(CARD_PROFILES.map((profile) => profile.name))("profile %s", (name) => {
  test("shows its application by PSE and by PPSE, with a number that has a sound check digit", async () => {
    const { send } = insert(name);
    expect((await send(selectCommand(PSE_NAME))).status).toBe(STATUS.ok);
    const directory = decodeRecord((await send(readRecordCommand({ sfi: 1, record: 1 }))).data);
    expect(findValue(directory, 0x4f)).toEqual(TEST_AID);
    expect((await send(readRecordCommand({ sfi: 1, record: 2 }))).status).toBe(STATUS.recordNotFound);
    const ppse = (await send(selectCommand(PPSE_NAME))).data;
    expect(toHex(ppse)).toContain(toHex(TEST_AID));
    expect(luhnHolds(cardProfile(name).pan)).toBe(true);
  });

  test("has every record that its file locator names, with all that a sale needs", async () => {
    const { send } = await initiated(name);
    const afresh = insert(name);
    await afresh.send(selectCommand(TEST_AID));
    const { afl } = decodeProcessingOptions((await afresh.send(getProcessingOptionsCommand(PDOL_DATA))).data);
    const objects = [];
    for (const { sfi, firstRecord, lastRecord } of afl) {
      for (let record = firstRecord; record <= lastRecord; record += 1) {
        objects.push(...decodeRecord((await send(readRecordCommand({ sfi, record }))).data));
      }
    }
    const tags = flattenTlv(objects).map(({ tag }) => tag);
    expect(tags).toEqual(
      expect.arrayContaining([0x57, 0x5a, 0x5f24, 0x5f34, 0x8c, 0x8d, 0x8e, 0x9f07, 0x9f0d, 0x9f0e]),
    );
    expect(decodeTrack2(findValue(objects, 0x57) ?? new Uint8Array()).pan).toBe(cardProfile(name).pan);
  });
});

describe("the card's decision", () => {
  test.each<[profile: string, asked: CryptogramType, minor: bigint, given: CryptogramType]>([
    ["standard", "TC", 10_000n, "TC"],
    ["standard", "TC", 10_001n, "ARQC"],
    ["standard", "ARQC", 1n, "ARQC"],
    ["standard", "AAC", 1n, "AAC"],
    ["second", "TC", 250n, "TC"],
    ["online-only", "TC", 1n, "ARQC"],
    ["declining", "TC", 1n, "AAC"],
    ["declining", "ARQC", 1n, "AAC"],
  ])("%s asked for %s over %d gives %s", async (profile, asked, minor, given) => {
    const { send } = await initiated(profile);
    expect(decodeCryptogram((await send(generateAcCommand(asked, firstData(minor)))).data).type).toBe(given);
  });

  test.each<[profile: string, asked: CryptogramType, code: string, minor: bigint, given: CryptogramType]>([
    ["standard", "TC", "00", 99_999n, "TC"],
    ["standard", "AAC", "05", 250n, "AAC"],
    ["standard", "TC", "Y3", 10_000n, "TC"],
    ["standard", "TC", "Y3", 10_001n, "AAC"],
    ["online-only", "TC", "00", 250n, "TC"],
    ["online-only", "TC", "Y3", 250n, "AAC"],
  ])("%s asked a second time for %s with code %s over %d gives %s", async (profile, asked, code, minor, given) => {
    const { send } = await initiated(profile);
    await send(generateAcCommand("ARQC", firstData(minor)));
    const answer = await send(generateAcCommand(asked, secondData(minor, code)));
    expect(decodeCryptogram(answer.data).type).toBe(given);
  });
});

describe("order and counters", () => {
  test("commands out of their order are refused with 6985", async () => {
    const { status, send } = insert();
    expect(await status(getProcessingOptionsCommand(PDOL_DATA))).toBe(STATUS.conditionsNotSatisfied);
    await send(selectCommand(TEST_AID));
    expect(await status(generateAcCommand("TC", firstData(1n)))).toBe(STATUS.conditionsNotSatisfied);
    expect(await status(readRecordCommand({ sfi: 1, record: 1 }))).toBe(STATUS.conditionsNotSatisfied);
    await send(getProcessingOptionsCommand(PDOL_DATA));
    expect(await status(getProcessingOptionsCommand(PDOL_DATA))).toBe(STATUS.conditionsNotSatisfied);
    await send(generateAcCommand("TC", firstData(1n)));
    expect(await status(generateAcCommand("TC", secondData(1n, "00")))).toBe(STATUS.conditionsNotSatisfied);
  });

  test("the counter goes up with each transaction, is saved before the answer, and survives a reset", async () => {
    const { card, saved, send } = insert("standard", 41);
    for (const expected of [42, 43]) {
      await send(selectCommand(TEST_AID));
      await send(getProcessingOptionsCommand(PDOL_DATA));
      const answer = decodeCryptogram((await send(generateAcCommand("AAC", firstData(1n)))).data);
      expect(answer.atc).toEqual(Uint8Array.of(0, expected));
      card.reset();
    }
    expect(saved).toEqual([42, 43]);
    expect(card.cryptograms).toEqual({ AAC: 2, TC: 0, ARQC: 0 });
  });

  test("an unknown instruction, class, name or length is refused by its own status word", async () => {
    const { status, card } = insert();
    expect(await status({ cla: 0, ins: 0x20, p1: 0, p2: 0x80 })).toBe(STATUS.instructionNotSupported);
    expect(await status({ ...selectCommand(TEST_AID), cla: 0x80 })).toBe(STATUS.classNotSupported);
    expect(await status(selectCommand(fromHex("A0000000031010")))).toBe(STATUS.fileNotFound);
    expect(await status(selectCommand(TEST_AID, "next"))).toBe(STATUS.fileNotFound);
    expect(decodeResponse(card.respond(fromHex("00A404"))).status).toBe(STATUS.wrongLength);
  });

  test("the second card answers as T=0 does, in two steps", () => {
    const { card } = insert("second");
    const select = decodeResponse(card.respond(encodeCommand(selectCommand(TEST_AID))));
    expect(select.status >> 8).toBe(0x61);
    const get = { cla: 0, ins: 0xc0, p1: 0, p2: 0, le: select.status & 0xff };
    expect(decodeResponse(card.respond(encodeCommand(get))).status).toBe(STATUS.ok);
    expect(decodeResponse(card.respond(encodeCommand(get))).status).toBe(STATUS.conditionsNotSatisfied);
  });

  test("any bytes in any order get an answer with a status word", () => {
    fc.assert(
      fc.property(fc.constantFrom("standard", "second"), fc.array(fc.uint8Array({ maxLength: 270 })), (name, sent) => {
        const { card } = insert(name);
        card.respond(encodeCommand(selectCommand(TEST_AID)));
        for (const bytes of sent) expect(card.respond(bytes).length).toBeGreaterThanOrEqual(2);
      }),
    );
  });

  test("any GENERATE AC data of the right length get an answer", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 29, maxLength: 29 }), async (data) => {
        const { status } = await initiated("standard");
        expect([STATUS.ok, STATUS.conditionsNotSatisfied]).toContain(await status(generateAcCommand("TC", data)));
      }),
    );
  });
});
