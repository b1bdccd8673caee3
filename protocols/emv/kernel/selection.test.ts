import { describe, expect, test } from "vitest";
import { toHex } from "../../../base/bytes.ts";
import { type Line, type Objects, play, text, tlv } from "./dialogue-fixture.ts";
import { listCandidates } from "./selection.ts";
import { terminalWith } from "./transaction-fixture.ts";

/**
 * The dialogues of openemv/emv-utils, tests/emv_build_candidate_list_test.c at 124e0de, with that test's list of applications.
 * Its GET RESPONSE exchanges are left to the shell.
 */
const PUBLISHED = terminalWith(
  ["A0000000031010", "partial"],
  ["A0000000032010", "exact"],
  ["A0000000032020", "exact"],
  ["A0000000041010", "partial"],
  ["A0000000043060", "partial"],
);
const SELECT_PSE = "00A404000E 315041592E5359532E4444463031 00";
const PSE_FCI = "6F20 840E315041592E5359532E4444463031 A50E 880101 5F2D046E6C656E 9F110101 9000";
const select = (aid: string, p2 = "00"): string => `00A404${p2}07 ${aid} 00`;
const absent = (aid: string): Line => [select(aid), "6A82"];
const ALL_ABSENT = ["A0000000031010", "A0000000032010", "A0000000032020", "A0000000041010", "A0000000043060"].map(
  absent,
);
/** All that an answer to SELECT must have (Book 1, 11.3.4). */
const bare = (aid: string): string =>
  tlv([
    0x6f,
    [
      [0x84, aid],
      [0xa5, []],
    ],
  ]);
const V_PAY_FCI = (last: string, priority: string): string =>
  `6F2F 8407A00000000320${last} A524 50055620504159 8701${priority} 5F2D046E6C656E BF0C10 9F4D020B05 9F0A080001050100000000`;
const MC_FCI = (last: string, priority: string): string =>
  `6F45 8408A0000000041010${last} A539 50094D4320435245444954 5F2D046E6C656E 8701${priority} 9F110101 9F120A4D415354455243415244
   BF0C10 9F4D020B0A 9F0A080001050200000000 9000`;

describe("the candidate list of published dialogues", () => {
  test.each<[string, readonly Line[], unknown]>([
    ["a card that refuses selection of the directory", [[SELECT_PSE, "6A81"]], "card-blocked"],
    [
      "a card that refuses the first application",
      [
        [SELECT_PSE, "6A82"],
        [select("A0000000031010"), "6A81"],
      ],
      "card-blocked",
    ],
    ["nothing found", [[SELECT_PSE, "6A82"], ...ALL_ABSENT], "no-application"],
    ["a blocked directory", [[SELECT_PSE, PSE_FCI.replace("9000", "6283")], ...ALL_ABSENT], "no-application"],
    [
      "a blocked application",
      [
        [SELECT_PSE, "6A82"],
        absent("A0000000031010"),
        absent("A0000000032010"),
        [select("A0000000032020"), `${V_PAY_FCI("20", "01")} 6283`],
        absent("A0000000041010"),
        absent("A0000000043060"),
      ],
      "application-blocked",
    ],
    [
      "a directory without a supported application",
      [
        [SELECT_PSE, PSE_FCI],
        [
          "00B2010C00",
          "7029 6127 4F07A0000000033030 500B5649534120435245444954 870101 9F120B5649534120435245444954 9000",
        ],
        ["00B2020C00", "6A83"],
        ...ALL_ABSENT,
      ],
      "no-application",
    ],
    [
      "a directory with one supported application",
      [
        [SELECT_PSE, PSE_FCI],
        [
          "00B2010C00",
          "7029 6127 4F07A0000000031010 500B5649534120435245444954 870101 9F120B5649534120435245444954 9000",
        ],
        ["00B2020C00", "6A83"],
      ],
      [["A0000000031010", "VISA CREDIT", 1]],
    ],
    [
      "a directory with two of them",
      [
        [SELECT_PSE, PSE_FCI],
        [
          "00B2010C00",
          `7044 6120 4F07A0000000032020 50055620504159 870101 730B9F0A080001050100000000
                6120 4F07A0000000032010 50055620504159 870102 730B9F0A080001050100000000 9000`,
        ],
        ["00B2020C00", "6A83"],
      ],
      [
        ["A0000000032020", "V PAY", 1],
        ["A0000000032010", "V PAY", 2],
      ],
    ],
    [
      "two exact names",
      [
        [SELECT_PSE, "6A82"],
        absent("A0000000031010"),
        [select("A0000000032010"), `${V_PAY_FCI("10", "02")} 9000`],
        [select("A0000000032020"), `${V_PAY_FCI("20", "01")} 9000`],
        absent("A0000000041010"),
        absent("A0000000043060"),
      ],
      [
        ["A0000000032020", "V PAY", 1],
        ["A0000000032010", "V PAY", 2],
      ],
    ],
    [
      "two applications under a partial name",
      [
        [SELECT_PSE, "6A82"],
        absent("A0000000031010"),
        absent("A0000000032010"),
        absent("A0000000032020"),
        [select("A0000000041010"), MC_FCI("10", "01")],
        [select("A0000000041010", "02"), MC_FCI("20", "02")],
        [select("A0000000041010", "02"), "6A82"],
        absent("A0000000043060"),
      ],
      [
        ["A000000004101010", "MC CREDIT", 1],
        ["A000000004101020", "MC CREDIT", 2],
      ],
    ],
    [
      "priorities, equal and absent ones in the card's order",
      [
        [SELECT_PSE, PSE_FCI],
        ["00B2010C00", directory(["A000000003101005", "APP 5", "05"], ["A000000003101003", "APP 3", "04"])],
        ["00B2020C00", directory(["A0000000051010", "APP 8"], ["A0000000041010", "APP 7"])],
        ["00B2030C00", directory(["A000000003101001", "APP 1", "01"], ["A000000003101006", "APP 6", "07"])],
        ["00B2040C00", directory(["A000000003101002", "APP 2", "01"], ["A000000003101004", "APP 4", "04"])],
        ["00B2050C00", "6A83"],
      ],
      [
        ["A000000003101001", "APP 1", 1],
        ["A000000003101002", "APP 2", 1],
        ["A000000003101003", "APP 3", 4],
        ["A000000003101004", "APP 4", 4],
        ["A000000003101005", "APP 5", 5],
        ["A000000003101006", "APP 6", 7],
        ["A0000000041010", "APP 7", 0],
      ],
    ],
  ])("%s", (_what, script, expected) => {
    const { result } = play(listCandidates(PUBLISHED), script);
    if (!result.ok) return expect(result.error.code).toBe(expected);
    const listed = result.value.map(({ aid, label, priority }) => [toHex(aid).toUpperCase(), label, priority]);
    return expect(listed).toEqual(expected);
  });

  // Book 1, 12.3.3, steps 2 and 5.
  test("a card that refuses a later application only goes without that one", () => {
    const { result } = play(listCandidates(terminalWith(["A0000000031010", "exact"], ["A0000000041010", "exact"])), [
      [SELECT_PSE, "6A82"],
      [select("A0000000031010"), `${bare("A0000000031010")}9000`],
      [select("A0000000041010"), "6A81"],
    ]);
    expect(result.ok && result.value.length).toBe(1);
  });

  // Book 1, 12.3.3, steps 6 and 7.
  test.each(["6200", "6283", "6300"])(
    "an application answered with %s is none, and the next of its name is asked for",
    (status) => {
      const { result } = play(listCandidates(terminalWith(["A0000000041010", "partial"])), [
        [SELECT_PSE, "6A82"],
        [select("A0000000041010"), MC_FCI("10", "01")],
        [select("A0000000041010", "02"), `${bare("A000000004101020")}${status}`],
        [select("A0000000041010", "02"), MC_FCI("30", "02")],
        [select("A0000000041010", "02"), "6A82"],
      ]);
      expect(result.ok && result.value.map(({ aid }) => toHex(aid))).toEqual(["a000000004101010", "a000000004101030"]);
    },
  );

  // Book 1, 12.3.3, step 3.
  test.each([
    ["a warning to the first SELECT", `${bare("A0000000041010")}6200`],
    ["no proprietary template", `${tlv([0x6f, [[0x84, "A0000000041010"]]])}9000`],
    ["no name", `${tlv([0x6f, [[0xa5, []]]])}9000`],
  ])("an application with %s is none", (_what, answer) => {
    const { result } = play(listCandidates(terminalWith(["A0000000041010", "partial"])), [
      [SELECT_PSE, "6A82"],
      [select("A0000000041010"), answer],
    ]);
    expect(result).toMatchObject({ ok: false, error: { code: "no-application" } });
  });

  function directory(...entries: readonly (readonly [aid: string, label: string, priority?: string])[]): string {
    const templates = entries.map(([aid, label, priority]): Objects[number] => [
      0x61,
      [[0x4f, aid], [0x50, text(label)], ...(priority === undefined ? [] : [[0x87, priority] as const])],
    ]);
    return `${tlv([0x70, templates])} 9000`;
  }
});

describe("the directory", () => {
  const terminal = terminalWith(["A0000000031010", "exact"]);
  const entry = tlv([
    0x70,
    [
      [
        0x61,
        [
          [0x4f, "A0000000031010"],
          [0x50, text("ONE")],
        ],
      ],
    ],
  ]);
  const byList: readonly Line[] = [[select("A0000000031010"), `${bare("A0000000031010")}9000`]];

  test.each<[string, readonly Line[]]>([
    [
      "an unexpected status",
      [
        ["00B2010C00", `${entry}9000`],
        ["00B2020C00", "6985"],
      ],
    ],
    [
      "a record of another form",
      [
        ["00B2010C00", `${entry}9000`],
        ["00B2020C00", "7102 0101 9000"],
      ],
    ],
    ["no record at all", [["00B2010C00", "6A83"]]],
  ])("counts for nothing after %s, and the terminal's list is tried (Book 1, 12.3.2)", (_what, records) => {
    const { result } = play(listCandidates(terminal), [[SELECT_PSE, PSE_FCI], ...records, ...byList]);
    expect(result.ok && result.value.map(({ label }) => label)).toEqual(["A0000000031010"]);
  });

  test("passes over entries that name further directories", () => {
    const record = tlv([
      0x70,
      [
        [0x61, [[0x9d, "A0000000031010"]]],
        [
          0x61,
          [
            [0x4f, "A0000000031010"],
            [0x50, text("ONE")],
          ],
        ],
      ],
    ]);
    const script: readonly Line[] = [
      [SELECT_PSE, PSE_FCI],
      ["00B2010C00", `${record}9000`],
      ["00B2020C00", "6A83"],
    ];
    const { result } = play(listCandidates(terminal), script);
    expect(result.ok && result.value.map(({ label }) => label)).toEqual(["ONE"]);
  });

  test("that never ends is left for the terminal's list", () => {
    const records = Array.from(
      { length: 64 },
      (_, index): Line => [`00B2${toHex(Uint8Array.of(index + 1))}0C00`, `${entry}9000`],
    );
    const { result } = play(listCandidates(terminal), [[SELECT_PSE, PSE_FCI], ...records, ...byList]);
    expect(result.ok && result.value.length).toBe(1);
  });
});
