/** What a card makes of its issuer's word: authentication, scripts, blocks, and what of it outlives the card's power. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import { STATUS } from "../../protocols/emv/apdu.ts";
import {
  decodeCryptogram,
  externalAuthenticateCommand,
  getDataCommand,
  readRecordCommand,
  selectCommand,
} from "../../protocols/emv/commands.ts";
import { type CardOnTable, cardOnTable } from "./card-fixture.ts";
import { CardStore } from "./card-memory.ts";
import { TEST_AID } from "./profiles.ts";

const made = JSON.parse(readFileSync(new URL("../../test/vectors/emv/card-made.json", import.meta.url), "utf8")) as {
  standard: { approval: string; decline: string };
  commonCore: { approval: string };
  scripts: { arqc: string; commands: readonly [string, string, string, string, string] };
};

async function online(name: string, atc = 0): Promise<CardOnTable> {
  const table = cardOnTable(name, { atc });
  await table.initiate();
  await table.first("ARQC");
  return table;
}

const typeOf = async (answer: ReturnType<CardOnTable["second"]>) => decodeCryptogram((await answer).data).type;
const lastOnlineOf = async ({ send }: CardOnTable) => toHex((await send(getDataCommand(0x9f13))).data).slice(6);

describe("the issuer's answer", () => {
  test.each([
    ["standard", 1, made.standard.approval, "TC"],
    ["standard", 1, made.standard.decline, "AAC"],
    ["common-core", 0, made.commonCore.approval, "TC"],
  ] as const)(
    "to %s, made independently, is known by EXTERNAL AUTHENTICATE and obeyed",
    async (name, atc, data, given) => {
      const table = await online(name, atc);
      expect(await table.status(externalAuthenticateCommand(fromHex(data)))).toBe(STATUS.ok);
      expect(await table.status(externalAuthenticateCommand(fromHex(data)))).toBe(STATUS.conditionsNotSatisfied);
      expect(await typeOf(table.second("TC"))).toBe(given);
      expect(await lastOnlineOf(table)).toBe(`000${atc + 1}`);
    },
  );

  test("with one bit changed is answered by 6300, the sale by an AAC, and the card still owes a visit", async () => {
    for (let bit = 0; bit < 80; bit += 1) {
      const answer = fromHex(made.standard.approval);
      answer[bit >> 3] = (answer[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
      const table = await online("standard", 1);
      expect(await table.status(externalAuthenticateCommand(answer)), `bit ${bit}`).toBe(0x6300);
      expect(await typeOf(table.second("TC"))).toBe("AAC");
      expect(await lastOnlineOf(table)).toBe("0000");
    }
  });

  test("too short, too long or before its time is refused", async () => {
    const table = cardOnTable("standard");
    await table.initiate();
    expect(await table.status(externalAuthenticateCommand(new Uint8Array(10)))).toBe(STATUS.conditionsNotSatisfied);
    await table.first("ARQC");
    expect(await table.status(externalAuthenticateCommand(new Uint8Array(7)))).toBe(STATUS.wrongLength);
    expect(await table.status(externalAuthenticateCommand(new Uint8Array(17)))).toBe(STATUS.wrongLength);
  });

  test("is not missed by a card that can do without, and counts as a visit", async () => {
    const table = await online("standard");
    expect(await typeOf(table.second("TC"))).toBe("TC");
    expect(await lastOnlineOf(table)).toBe("0001");
  });

  test("is required in CDOL2 by the card that insists on it", async () => {
    expect(await typeOf((await online("cda")).second("TC"))).toBe("AAC");
    const wrong = await online("cda");
    expect(await typeOf(wrong.second("TC", { issuerAnswer: fromHex("0102030400800000") }))).toBe("AAC");
    expect(await wrong.status(externalAuthenticateCommand(new Uint8Array(8)))).toBe(STATUS.instructionNotSupported);
  });

  test("when there is none at all leaves the register as it was", async () => {
    const table = await online("standard");
    expect(await typeOf(table.second("TC", { responseCode: "Y3" }))).toBe("TC");
    expect(await lastOnlineOf(table)).toBe("0000");
  });
});

describe("issuer scripts", () => {
  const [putData, updateRecord, block, unblock, cardBlock] = made.scripts.commands;

  test("with the MACs of an independent implementation are obeyed in their order, before and after the second cryptogram", async () => {
    const table = await online("scripts");
    expect(toHex(table.hex(putData))).toBe("9000");
    expect(toHex(table.hex(updateRecord))).toBe("9000");
    expect(await typeOf(table.second("TC"))).toBe("TC");
    expect((await table.send(getDataCommand(0x9f58))).data).toEqual(fromHex("9F580101"));
    const limits = await table.send(readRecordCommand({ sfi: 4, record: 1 }));
    expect(limits.data).toEqual(fromHex("70089F1401079F230109"));
    expect(toHex(table.hex(block))).toBe("9000");
    expect((await table.send(selectCommand(TEST_AID))).status).toBe(0x6283);
    expect(table.card.memory).toMatchObject({ scriptsObeyed: 3, lastOnline: { scripts: 3, scriptFailed: false } });
  });

  test("block and unblock an application, and then the card for good", async () => {
    const table = await online("scripts");
    for (const command of [putData, updateRecord, block]) table.hex(command);
    expect(await typeOf(table.second("TC"))).toBe("AAC");
    expect(toHex(table.hex(unblock))).toBe("9000");
    expect(toHex(table.hex(cardBlock))).toBe("9000");
    expect((await table.send(selectCommand(TEST_AID))).status).toBe(STATUS.functionNotSupported);
    const later = cardOnTable("scripts", { atc: 1, memory: table.card.memory });
    expect((await later.send(selectCommand(TEST_AID))).status).toBe(STATUS.functionNotSupported);
  });

  test("are counted in what the card tells its issuer next time", async () => {
    const table = await online("scripts");
    table.hex(putData);
    table.hex(updateRecord);
    await table.second("TC");
    await table.initiate();
    const next = decodeCryptogram((await table.first("ARQC")).data);
    expect(toHex(next.issuerApplicationData)).toBe("06011203a00020");
  });

  test.each([
    ["twice", [putData, putData], "6988"],
    ["out of order", [updateRecord], "6988"],
    ["with another value", [putData.replace("0901", "0902")], "6988"],
    ["without a MAC", ["84 1E 00 00 04 00000000"], "6987"],
    ["without secure messaging", ["00 DA 9F58 01 01"], "6e00"],
    ["to change the PIN", ["84 24 00 00 08 0000000000000000"], "6a81"],
  ])("%s are refused and change nothing", async (_how, commands, status) => {
    const table = await online("scripts");
    const answers = commands.map((command) => toHex(table.hex(command)));
    expect(answers.at(-1)).toBe(status);
    expect(table.card.memory.lastOnline.scriptFailed).toBe(true);
    expect(table.card.memory.data["9f58"]).toBe(commands.length > 1 ? "01" : undefined);
  });

  test("are refused before the issuer was asked, and by cards that know none", async () => {
    const table = cardOnTable("scripts");
    await table.initiate();
    expect(toHex(table.hex(putData))).toBe("6985");
    await table.first("TC");
    expect(toHex(table.hex(putData))).toBe("6985");
    expect(toHex((await online("standard")).hex(putData))).toBe("6d00");
  });
});

describe("the card's own limits", () => {
  test("send it to the issuer after so many sales offline, and stop it after so many more", async () => {
    const given: string[] = [];
    const table = cardOnTable("scripts");
    for (let sale = 0; sale < 6; sale += 1) {
      await table.initiate();
      const first = await typeOf(table.first("TC"));
      given.push(first === "ARQC" ? `ARQC ${await typeOf(table.second("TC", { responseCode: "Y3" }))}` : first);
    }
    expect(given).toEqual(["TC", "TC", "TC", "ARQC TC", "ARQC TC", "ARQC AAC"]);
    await table.initiate();
    await table.first("ARQC");
    await table.second("TC");
    await table.initiate();
    expect(await typeOf(table.first("TC"))).toBe("TC");
  });
});

describe("the state file", () => {
  const folder = () => mkdtempSync(join(tmpdir(), "card-state-"));

  test("carries counters, blocks and what scripts wrote to the next run, each card by itself", async () => {
    const at = folder();
    const path = join(at, "cards.json");
    const run = (profile: string) => {
      const store = new CardStore(path);
      const { atc, memory } = store.get(profile);
      return cardOnTable(profile, {
        atc,
        ...(memory && { memory }),
        saveAtc: (counter) => store.set(profile, { atc: counter }),
        saveMemory: (remembered) => store.set(profile, { memory: remembered }),
      });
    };
    const first = run("scripts");
    await first.initiate();
    await first.first("ARQC");
    for (const command of made.scripts.commands.slice(0, 3)) first.hex(command);
    await first.second("AAC");
    const other = run("standard");
    await other.initiate();
    const again = run("scripts");
    expect((await again.send(selectCommand(TEST_AID))).status).toBe(0x6283);
    expect([again.card.atc, again.card.memory.lastOnlineAtc, again.card.memory.scriptsObeyed]).toEqual([1, 1, 3]);
    expect((await again.send(getDataCommand(0x9f58))).data).toEqual(fromHex("9F580101"));
    expect(run("standard").card.atc).toBe(1);
    rmSync(at, { recursive: true });
  });

  test.each(["no JSON", "7", '{"standard":{"memory":{}}}'])("that holds %s is named, with the mend", (text) => {
    const at = folder();
    const path = join(at, "cards.json");
    writeFileSync(path, text);
    expect(() => new CardStore(path)).toThrow(/cards\.json.*remove the file/);
    rmSync(at, { recursive: true });
  });
});
