import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { decodeResponse, encodeCommand, type ResponseApdu, STATUS } from "../../protocols/emv/apdu.ts";
import { findValue, flattenTlv } from "../../protocols/emv/ber-tlv.ts";
import {
  type CryptogramType,
  decodeCryptogram,
  decodeProcessingOptions,
  decodeRecord,
  generateAcCommand,
  getDataCommand,
  getProcessingOptionsCommand,
  PPSE_NAME,
  PSE_NAME,
  readRecordCommand,
  selectCommand,
} from "../../protocols/emv/commands.ts";
import { decodeTrack2, luhnHolds } from "../../protocols/emv/numeric.ts";
import { type CardOnTable, cardOnTable, emptyPdol } from "./card-fixture.ts";
import { CARD_PROFILES, TEST_AID } from "./profiles.ts";

async function initiated(name: string): Promise<CardOnTable> {
  const table = cardOnTable(name);
  await table.initiate();
  return table;
}

/** Profiles whose files can be read to the end. */
const READABLE = CARD_PROFILES.filter(({ blocked, cardBlocked, lie }) => {
  const unreadable = blocked || cardBlocked;
  return !unreadable && !["no-expiry", "record-length", "out-of-turn", "afl-length"].includes(lie ?? "");
}).map(({ name }) => name);

describe("the directories", () => {
  test.each(READABLE)(
    "of profile %s show its application, with a number that has a sound check digit",
    async (name) => {
      const { send, profile } = cardOnTable(name);
      expect((await send(selectCommand(PSE_NAME))).status).toBe(STATUS.ok);
      const directory = decodeRecord((await send(readRecordCommand({ sfi: 1, record: 1 }))).data);
      expect(findValue(directory, 0x4f)).toEqual(TEST_AID);
      const after = await send(readRecordCommand({ sfi: 1, record: 2 + (profile.further?.length ?? 0) }));
      expect(after.status).toBe(STATUS.recordNotFound);
      const ppse = (await send(selectCommand(PPSE_NAME))).data;
      expect(toHex(ppse)).toContain(toHex(TEST_AID));
      expect(luhnHolds(profile.pan)).toBe(true);
    },
  );

  test("of a card with two applications name both, with priority and the wish to be confirmed", async () => {
    const { send, profile } = cardOnTable("two-applications");
    await send(selectCommand(PSE_NAME));
    const entries = [1, 2].map(async (record) => {
      const entry = decodeRecord((await send(readRecordCommand({ sfi: 1, record }))).data);
      return [findValue(entry, 0x4f), findValue(entry, 0x87)];
    });
    expect(await Promise.all(entries)).toEqual([
      [TEST_AID, Uint8Array.of(0x02)],
      [profile.further?.[0]?.aid, Uint8Array.of(0x81)],
    ]);
  });

  test("every profile has a name and a number of its own, but for the copy of a card", () => {
    expect(new Set(CARD_PROFILES.map(({ name }) => name)).size).toBe(CARD_PROFILES.length);
    const numbers = CARD_PROFILES.filter(({ name }) => name !== "cloned-static").map(({ pan }) => pan);
    expect(new Set(numbers).size).toBe(numbers.length);
  });
});

describe("the file locator", () => {
  test.each(READABLE)("of profile %s names records that are there, with all that a sale needs", async (name) => {
    const table = cardOnTable(name);
    const { send, profile } = table;
    await send(selectCommand(TEST_AID));
    const { afl } = decodeProcessingOptions((await send(getProcessingOptionsCommand(emptyPdol(table)))).data);
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
    expect(decodeTrack2(findValue(objects, 0x57) ?? new Uint8Array()).pan).toBe(profile.pan);
  });
});

describe("selection", () => {
  test("takes a partial name, and goes on to the next application under it", async () => {
    const { send, profile } = cardOnTable("two-applications");
    const nameOf = ({ data }: ResponseApdu) => /84(0[89])(.*)a5/.exec(toHex(data))?.[2]?.slice(0, 18);
    const rid = TEST_AID.subarray(0, 5);
    expect(nameOf(await send(selectCommand(rid)))).toMatch(toHex(TEST_AID));
    expect(nameOf(await send(selectCommand(rid, "next")))).toBe(toHex(profile.further?.[0]?.aid ?? TEST_AID));
    expect((await send(selectCommand(rid, "next"))).status).toBe(STATUS.fileNotFound);
    expect((await send(selectCommand(rid.subarray(0, 4)))).status).toBe(STATUS.fileNotFound);
  });

  test("of a blocked application says so and still names it; GET PROCESSING OPTIONS is refused", async () => {
    const table = cardOnTable("blocked");
    const { status, data } = await table.send(selectCommand(TEST_AID));
    expect(status).toBe(0x6283);
    expect(toHex(data)).toContain(toHex(TEST_AID));
    expect(await table.status(getProcessingOptionsCommand(emptyPdol(table)))).toBe(STATUS.conditionsNotSatisfied);
  });

  test("of anything on a blocked card is refused with 6A81", async () => {
    const { status } = cardOnTable("card-blocked");
    for (const name of [PSE_NAME, PPSE_NAME, TEST_AID]) {
      expect(await status(selectCommand(name))).toBe(STATUS.functionNotSupported);
    }
  });

  test("of a further application by its full name hands it every command until the next selection", async () => {
    const aid = fromHex("F054494C4C02");
    const commands: number[] = [];
    const application = {
      select: () => ({ data: fromHex("6F00"), status: STATUS.ok }),
      respond: ({ ins }: { ins: number }) => {
        commands.push(ins);
        return { data: fromHex("0102"), status: STATUS.ok };
      },
    };
    const { send } = cardOnTable("standard", { extraApplications: [{ aid, application }] });
    expect((await send(selectCommand(aid))).data).toEqual(fromHex("6F00"));
    expect((await send({ cla: 0xe0, ins: 0x77, p1: 0, p2: 0 })).data).toEqual(fromHex("0102"));
    expect((await send(getDataCommand(0x9f36))).data).toEqual(fromHex("0102"));
    await send(selectCommand(TEST_AID));
    expect((await send(getDataCommand(0x9f36))).data).toEqual(fromHex("9F36020000"));
    expect(commands).toEqual([0x77, 0xca]);
    const byRid = await send(selectCommand(aid.subarray(0, 5)));
    expect(toHex(byRid.data)).toContain(toHex(TEST_AID));
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
    ["offline-only", "TC", 10_000n, "TC"],
    ["offline-only", "TC", 10_001n, "AAC"],
    ["offline-only", "ARQC", 1n, "AAC"],
    ["more-than-asked", "ARQC", 1n, "TC"],
  ])("%s asked for %s over %d gives %s", async (profile, asked, minor, given) => {
    const { first } = await initiated(profile);
    expect(decodeCryptogram((await first(asked, { minor })).data).type).toBe(given);
  });

  test.each<[profile: string, asked: CryptogramType, code: string, minor: bigint, given: CryptogramType]>([
    ["standard", "TC", "00", 99_999n, "TC"],
    ["standard", "AAC", "05", 250n, "AAC"],
    ["standard", "TC", "Y3", 10_000n, "TC"],
    ["standard", "TC", "Y3", 10_001n, "AAC"],
    ["online-only", "TC", "00", 250n, "TC"],
    ["online-only", "TC", "Y3", 250n, "AAC"],
    ["standard", "AAC", "Z3", 250n, "AAC"],
    ["standard", "TC", "Z3", 10_001n, "AAC"],
  ])("%s asked a second time for %s with code %s over %d gives %s", async (profile, asked, code, minor, given) => {
    const { first, second } = await initiated(profile);
    await first("ARQC", { minor });
    const answer = await second(asked, { minor, responseCode: code });
    expect(decodeCryptogram(answer.data).type).toBe(given);
  });
});

describe("order and counters", () => {
  test("commands out of their order are refused with 6985", async () => {
    const table = cardOnTable("standard");
    const { status, send, first, second } = table;
    const options = getProcessingOptionsCommand(emptyPdol(table));
    expect(await status(options)).toBe(STATUS.conditionsNotSatisfied);
    await send(selectCommand(TEST_AID));
    expect((await first("TC")).status).toBe(STATUS.conditionsNotSatisfied);
    expect(await status(readRecordCommand({ sfi: 1, record: 1 }))).toBe(STATUS.conditionsNotSatisfied);
    await send(options);
    expect(await status(options)).toBe(STATUS.conditionsNotSatisfied);
    await first("TC");
    expect((await second("TC")).status).toBe(STATUS.conditionsNotSatisfied);
  });

  test("the counter goes up with each transaction, is saved before the answer, and survives a reset", async () => {
    const { card, savedAtcs, initiate, first } = cardOnTable("standard", { atc: 41 });
    for (const expected of [42, 43]) {
      await initiate();
      expect(decodeCryptogram((await first("AAC")).data).atc).toEqual(Uint8Array.of(0, expected));
      card.reset();
    }
    expect(savedAtcs).toEqual([42, 43]);
    expect(card.cryptograms).toEqual({ AAC: 2, TC: 0, ARQC: 0 });
  });

  test("a card whose counter is at its end starts no transaction", async () => {
    const table = cardOnTable("standard", { atc: 0xffff });
    await table.send(selectCommand(TEST_AID));
    expect(await table.status(getProcessingOptionsCommand(emptyPdol(table)))).toBe(STATUS.conditionsNotSatisfied);
  });

  test("GET DATA tells both counters and the PIN tries left, and no log format", async () => {
    const { send, status } = await initiated("standard");
    expect((await send(getDataCommand(0x9f36))).data).toEqual(fromHex("9F36020001"));
    expect((await send(getDataCommand(0x9f13))).data).toEqual(fromHex("9F13020000"));
    expect((await send(getDataCommand(0x9f17))).data).toEqual(fromHex("9F170103"));
    expect(await status(getDataCommand(0x9f4f))).toBe(STATUS.referencedDataNotFound);
    const silent = await initiated("silent-counters");
    expect(await silent.status(getDataCommand(0x9f36))).toBe(STATUS.referencedDataNotFound);
  });

  test("an unknown instruction, class, name or length is refused by its own status word", async () => {
    const { status, card } = cardOnTable("standard");
    expect(await status({ cla: 0, ins: 0x20, p1: 0, p2: 0x80 })).toBe(STATUS.instructionNotSupported);
    expect(await status({ ...selectCommand(TEST_AID), cla: 0x80 })).toBe(STATUS.classNotSupported);
    expect(await status(selectCommand(fromHex("A0000000031010")))).toBe(STATUS.fileNotFound);
    expect(await status(selectCommand(TEST_AID, "next"))).toBe(STATUS.fileNotFound);
    expect(decodeResponse(card.respond(fromHex("00A404"))).status).toBe(STATUS.wrongLength);
    const ready = await initiated("second");
    const data = new Uint8Array(29);
    expect(await ready.status(generateAcCommand("TC", data, "cda"))).toBe(STATUS.incorrectParameters);
    expect(await ready.status(generateAcCommand("TC", data, "xda"))).toBe(STATUS.incorrectParameters);
  });

  test("the second card answers as T=0 does, in two steps", () => {
    const { card } = cardOnTable("second");
    const select = decodeResponse(card.respond(encodeCommand(selectCommand(TEST_AID))));
    expect(select.status >> 8).toBe(0x61);
    const get = { cla: 0, ins: 0xc0, p1: 0, p2: 0, le: select.status & 0xff };
    expect(decodeResponse(card.respond(encodeCommand(get))).status).toBe(STATUS.ok);
    expect(decodeResponse(card.respond(encodeCommand(get))).status).toBe(STATUS.conditionsNotSatisfied);
  });

  test("any bytes in any order get an answer with a status word", () => {
    const names = CARD_PROFILES.map(({ name }) => name);
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.array(fc.uint8Array({ maxLength: 270 })), (name, sent) => {
        const { card } = cardOnTable(name);
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
