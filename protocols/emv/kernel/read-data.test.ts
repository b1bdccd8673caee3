import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../../base/bytes.ts";
import { decodeAfl } from "../afl.ts";
import type { Tag } from "../ber-tlv.ts";
import { type Line, type Objects, play, tlv } from "./dialogue-fixture.ts";
import { readApplicationData } from "./read-data.ts";

function read(afl: string, script: readonly Line[]) {
  const values = new Map<Tag, Uint8Array>([[0x9f02, fromHex("000000000100")]]);
  const { result } = play(readApplicationData(decodeAfl(fromHex(afl)), { values, given: [0x82, 0x94] }), script);
  return { result, values };
}

/** Dialogues of openemv/emv-utils, tests/emv_read_application_data_test.c at 361192c, tests 3 to 11. */
describe("published dialogues", () => {
  const TRACK_RECORD = `70335711 4761739001010119D2212201175892 8889 5F200C455850495245442F43415244
    9F1F0E3137353839303936303030303030`;
  const TWO_FILES = "08020200 10010400 18010201";
  const first = (answer: string): Line => ["00B2020C00", answer];
  const KEYS = "7013 8F0194 9200 9F320103 9F470103 9F49039F3704 9000";
  const APPLICATION = `7046 5A084761739001010119 5F340101 5F2403221231
    8C159F02069F03069F1A0295055F2A029A039C019F3704 8D198A029F02069F03069F1A0295055F2A029A039C019F37049108 9000`;

  test.each<[string, string, readonly Line[], string]>([
    ["3: a status that is no success", TWO_FILES, [first("6985")], "refused-command"],
    ["4: a record in another template", TWO_FILES, [first("71009000")], "data-format"],
    ["5: data behind the template", TWO_FILES, [first(`${TRACK_RECORD}FFFF9000`)], "data-format"],
    ["6: malformed data in it", TWO_FILES, [first(`${TRACK_RECORD.replace("9F1F0E", "9F1F0F")}9000`)], "data-format"],
    [
      "8: an object that comes twice",
      "08020200 10010200",
      [first(`${TRACK_RECORD}9000`), ["00B2011400", KEYS], ["00B2021400", "70038F01949000"]],
      "data-duplicate",
    ],
    [
      "9: no data object lists",
      "08020200 10010201",
      [
        first(`${TRACK_RECORD}9000`),
        ["00B2011400", "7014 5A084761739001010119 5F340101 5F2403221231 9000"],
        ["00B2021400", KEYS],
      ],
      "data-missing",
    ],
  ])("test %s ends the transaction", (_what, afl, script, code) => {
    expect(read(afl, script).result).toMatchObject({ ok: false, error: { code } });
  });

  test("test 10: a signed record of another form fails authentication, and reading goes on", () => {
    const { result, values } = read("08020200 60010101 10010201 58010101", [
      first(`${TRACK_RECORD}9000`),
      ["00B2016400", "FF9000"],
      ["00B2011400", APPLICATION],
      ["00B2021400", KEYS],
      ["00B2015C00", "70030101FF9000"],
    ]);
    expect(result).toMatchObject({ ok: true, value: { recordsSound: false } });
    expect(toHex(values.get(0x5a) ?? fromHex(""))).toBe("4761739001010119");
    expect(values.has(0x92)).toBe(false);
  });

  test("test 11: files 1 to 10 are signed without their template, files 11 and on with it (10.3)", () => {
    const { result } = read("08020200 10010201 58010101", [
      first(`${TRACK_RECORD}9000`),
      ["00B2011400", APPLICATION],
      ["00B2021400", KEYS],
      ["00B2015C00", "70030101FF9000"],
    ]);
    if (!result.ok) throw new Error(result.error.detail);
    const application = toHex(fromHex(APPLICATION)).slice(4, -4);
    expect(toHex(result.value.signedRecords)).toBe(`${application}70030101ff`);
    expect(result.value.recordsSound).toBe(true);
  });
});

describe("the application's data", () => {
  const SOUND: Objects = [
    [0x5a, "6999999900000013"],
    [0x5f24, "491231"],
    [0x8c, "9F0206"],
    [0x8d, "8A02"],
  ];
  const readOne = (...objects: Objects) => read("08010100", [["00B2010C00", `${tlv([0x70, objects])}9000`]]);
  const without = (tag: Tag): Objects => SOUND.filter(([each]) => each !== tag);

  test.each(SOUND.map(([tag]) => tag))("are incomplete without tag %i (7.2)", (tag) => {
    expect(readOne(...without(tag)).result).toMatchObject({ ok: false, error: { code: "data-missing" } });
    expect(readOne(...without(tag), [tag, ""]).result).toMatchObject({ ok: false, error: { code: "data-missing" } });
    expect(readOne(...SOUND).result.ok).toBe(true);
  });

  test.each<[Tag, string]>([
    [0x5a, "69999999000000AF"],
    [0x5a, "FFFF"],
    [0x5f24, "491331"],
    [0x5f24, "4912"],
    [0x5f24, "4912FF"],
    [0x8c, "9F"],
    [0x8c, "9F02FF"],
    [0x9f0e, "00"],
    [0x9f14, "0001"],
    [0x9f23, "0001"],
  ])("are malformed with %i as %s", (tag, value) => {
    expect(readOne(...without(tag), [tag, value]).result).toMatchObject({ ok: false, error: { code: "data-format" } });
  });

  test("never replace the terminal's own (10.2)", () => {
    const { result, values } = readOne(...SOUND, [0x9f02, "000000000001"], [0x95, "0000000000"], [0x8a, "3030"]);
    expect(result.ok).toBe(true);
    expect(toHex(values.get(0x9f02) ?? fromHex(""))).toBe("000000000100");
    expect(values.has(0x95) || values.has(0x8a)).toBe(false);
  });

  // 10.2 and 5.4.
  test("are not kept under a tag that means nothing here", () => {
    const { result, values } = readOne(...SOUND, [0x9f7e, "01"], [0xdf01, "02"]);
    expect(result.ok).toBe(true);
    expect([values.has(0x9f7e), values.has(0xdf01)]).toEqual([false, false]);
  });

  test("may not repeat what the card gave with its profile", () => {
    expect(readOne(...SOUND, [0x82, "0000"]).result).toMatchObject({ ok: false, error: { code: "data-duplicate" } });
  });

  test("are left unread when the locator names more records than any card has", () => {
    expect(read("0801FF00 10010100", []).result).toMatchObject({ ok: false, error: { code: "card-error" } });
  });
});
