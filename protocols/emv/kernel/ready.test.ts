import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../../base/bytes.ts";
import { TSI, TVR } from "../bits.ts";
import { type CardMaking, card, flags, made, readied, ready, type Sale, valueHex } from "./card-fixture.ts";
import { ask, type Objects, text, tlv } from "./dialogue-fixture.ts";
import { transactionOf } from "./transaction-fixture.ts";

/** Of every transaction that was readied (Book 3, 10.6). */
const RISK = TSI.terminalRiskManagementPerformed.name;

describe("offline data authentication in the flow", () => {
  const only = (capabilities: string): Sale => ({ terminal: { capabilities: fromHex(capabilities) } });

  test("takes CDA before DDA before SDA, and none without a method in common (Book 3, 10.3)", () => {
    expect(readied().transaction.oda).toBe("cda");
    expect(readied({}, only("E028C0")).transaction.oda).toBe("dda");
    expect(readied({}, only("E02880")).transaction.oda).toBe("sda");
    const { transaction } = readied({}, only("E02800"));
    expect([transaction.oda, flags(transaction).tvr]).toEqual(["none", [TVR.odaNotPerformed.name]]);
  });

  test("SDA succeeds, says that it was selected, and keeps the card's code", () => {
    const { transaction } = readied({}, only("E02880"));
    expect(flags(transaction)).toEqual({ tvr: [TVR.sdaSelected.name], tsi: [TSI.odaPerformed.name, RISK] });
    expect(valueHex(transaction, 0x9f45)).toBe("dac1");
  });

  test.each(["9F49", "default"])("DDA succeeds with the list %s", (list) => {
    const { terminal } = transactionOf({});
    const applications = terminal.applications.map((each) => ({ ...each, defaultDdol: fromHex("9F3704") }));
    const extra: Objects = list === "9F49" ? [[0x9f49, "9F3704"]] : [];
    const { transaction, commands } = readied(
      { extra },
      { terminal: { applications, capabilities: fromHex("E028C0") } },
    );
    expect(commands).toContain(`0088000004${made.dda.terminalData}00`);
    expect(flags(transaction)).toEqual({ tvr: [], tsi: [TSI.odaPerformed.name, RISK] });
    expect(valueHex(transaction, 0x9f4c)).toBe(made.iccDynamicNumber.toLowerCase());
  });

  test.each<[string, CardMaking]>([
    ["no list", {}],
    ["a list without the unpredictable number", { extra: [[0x9f49, "9F0206"]] }],
    ["a malformed list", { extra: [[0x9f49, "9F37"]] }],
    ["a signature of other bytes", { extra: [[0x9f49, "9F3704"]], answers: [["0088", `8040${"11".repeat(64)}9000`]] }],
  ])("DDA fails with %s, and the transaction goes on", (_what, making) => {
    const { transaction, commands } = readied(making, only("E028C0"));
    expect(flags(transaction)).toEqual({ tvr: [TVR.ddaFailed.name], tsi: [TSI.odaPerformed.name, RISK] });
    expect(transaction.odaFailure).toMatch(/\w+ \w+/);
    // A card is asked to sign only what has the terminal's number in it (Book 2, 6.5.1).
    expect(commands.some((each) => each.startsWith("0088"))).toBe(making.answers !== undefined);
  });

  test.each([0x90, 0x8f, 0x9f32, 0x9f46, 0x9f47])("CDA without tag %i fails, and data are missing", (tag) => {
    const { transaction } = readied({ without: [tag] });
    expect(flags(transaction).tvr).toEqual([TVR.iccDataMissing.name, TVR.cdaFailed.name]);
    expect(transaction.cdaPending).toBe(false);
  });

  describe("the issuer's key is recovered while the card still gives its records", () => {
    const played = (making: CardMaking, ahead: boolean) => {
      const { result } = ask(ready(), card(making), ahead);
      return result.ok ? result.value.transaction : expect.unreachable(result.error.detail);
    };

    test("once they have brought all that it takes, and once only", () => {
      expect(played({}, false).issuerKey).toBeUndefined();
      const { issuerKey, values } = played({}, true);
      expect(issuerKey?.recovered.ok).toBe(true);
      expect(issuerKey?.from.map((value) => value && toHex(value).toUpperCase())).toEqual([
        ...["8F", "90", "9F32"].map((tag) => made.values[tag]?.toUpperCase()),
        toHex(values.get(0x5a) ?? fromHex("")).toUpperCase(),
        made.values["92"]?.toUpperCase(),
      ]);
    });

    test("and the terminal is asked what the card owes as soon as its number is read, and says the same again", () => {
      const asked: string[] = [];
      const spentBefore = (pan: string) => BigInt(asked.push(pan));
      const commands: string[] = [];
      const answer = card();
      ask(ready({ terminal: { spentBefore } }), (command) => {
        commands.push(`${command.slice(0, 8)} after ${asked.length}`);
        return answer(command);
      });
      const records = commands.filter((each) => each.startsWith("00B2"));
      expect(records).toEqual(["00B2010C after 0", "00B2020C after 1", "00B2030C after 1", "00B2040C after 1"]);
      expect(new Set(asked)).toEqual(new Set(["6999999900000013"]));
    });

    // The last record brings what the key needs, too late for what was begun before.
    const late: CardMaking["answers"] = [
      ["00B2030C", `${tlv([0x70, [[0x90, made.values["90"] ?? ""]]])}9000`],
      [
        "00B2040C",
        `${tlv([0x70, ["92", "9F46", "9F48"].flatMap((tag) => (made.values[tag] ? [[Number.parseInt(tag, 16), made.values[tag]] as const] : []))])}9000`,
      ],
    ];

    test.each<[string, CardMaking]>([
      ["whole", {}],
      ["without a certificate", { without: [0x90] }],
      [
        "with a certificate of other bytes",
        { answers: [["00B2030C", `${tlv([0x70, [[0x90, "00".repeat(64)]]])}9000`]] },
      ],
      ["whose remainder comes last", { answers: late }],
    ])("and comes to the same for a card %s", (_what, making) => {
      const [early, plain] = [played(making, true), played(making, false)];
      expect([early.steps, early.combined, early.odaFailure]).toEqual([plain.steps, plain.combined, plain.odaFailure]);
      expect(toHex(early.tvr)).toBe(toHex(plain.tvr));
    });

    test("and what was begun without the remainder is not believed when it comes", () => {
      const transaction = played({ answers: late }, true);
      expect(transaction.issuerKey?.recovered.ok).toBe(false);
      expect(transaction.odaFailure).toBeUndefined();
    });
  });

  // Book 3, table 35.
  test.each([
    ["E028C8", 0x9f46, TVR.cdaFailed],
    ["E028C0", 0x9f47, TVR.ddaFailed],
    ["E02880", 0x93, TVR.sdaFailed],
  ])(
    "data missing are told of though the key that they are checked with is unknown, %s",
    (capabilities, tag, failed) => {
      const terminal = { caKeys: [], capabilities: fromHex(capabilities) };
      const missing = flags(readied({ without: [tag] }, { terminal }).transaction).tvr;
      expect(missing).toEqual(expect.arrayContaining([TVR.iccDataMissing.name, failed.name]));
      expect(flags(readied({}, { terminal }).transaction).tvr).not.toContain(TVR.iccDataMissing.name);
    },
  );

  test("CDA has only its keys before the cryptogram, and the TSI says nothing yet", () => {
    const { transaction } = readied();
    expect(transaction.cdaPending).toBe(true);
    expect(flags(transaction)).toEqual({ tvr: [], tsi: [RISK] });
    expect(valueHex(transaction, 0x9f22)).toBe("07");
  });

  test("a signed record that is no template fails it", () => {
    const answers = [
      [
        "80A8",
        `${tlv([
          0x77,
          [
            [0x82, "6100"],
            [0x94, "0801040160010101"],
          ],
        ])}9000`,
      ],
      ["00B20164", "FF9000"],
    ] as const;
    const { transaction } = readied({ answers });
    expect(flags(transaction).tvr).toEqual([TVR.cdaFailed.name]);
    expect(transaction.odaFailure).toContain("no template 70");
  });
});

describe("selection and initiation in the flow", () => {
  const second = "F054494C4C574160";
  const { terminal } = transactionOf({});
  const [application] = terminal.applications;
  if (!application) throw new Error("the fixture's terminal supports an application");
  const both: Sale = { terminal: { applications: [application, { ...application, aid: fromHex(second) }] } };
  const fci = (aid: string): string =>
    `${tlv([
      0x6f,
      [
        [0x84, aid],
        [0xa5, [[0x50, text(aid.slice(-2))]]],
      ],
    ])}9000`;

  test("an application whose conditions of use are not satisfied makes way for the next (Book 3, 10.1)", () => {
    let initiated = 0;
    const sound = card();
    const { result, commands } = ask(ready(both), (command) => {
      if (command.includes(second)) return fci(second);
      if (command.startsWith("80A8")) {
        initiated += 1;
        return initiated === 1 ? "6985" : sound(command);
      }
      return sound(command);
    });
    if (!result.ok) throw new Error(result.error.detail);
    expect(toHex(result.value.transaction.aid).toUpperCase()).toBe(second);
    expect(commands.filter((each) => each.startsWith("80A8")).length).toBe(2);
  });

  test.each([
    ["6985", "no-application"],
    ["6A81", "refused-command"],
    ["9000", "data-format"],
    ["770682026100 9400 9000", "data-format"],
    ["77048202 6100 9000", "data-format"],
    ["770E 82026100 82020000 940408010401 9000", "data-format"],
  ])("GET PROCESSING OPTIONS answered %s ends as %s", (answer, code) => {
    const { result } = ask(ready(), card({ answers: [["80A8", answer]] }));
    expect(result).toMatchObject({ ok: false, error: { code } });
  });

  test("the PDOL is filled with the terminal's data, and with zeros for what it does not know", () => {
    const { commands } = readied({ pdol: "9F1A025F2A029F0206DF0102" });
    expect(commands).toContain("80A800000E830C05280978000000000250000000");
  });

  test("velocity checking reads both counters, and a card that hides them has exceeded its limits (Book 3, 10.6.3)", () => {
    const limits: Objects = [
      [0x9f14, "01"],
      [0x9f23, "02"],
    ];
    const counters = [
      ["80CA9F36", "9F360200059000"],
      ["80CA9F13", "9F130200049000"],
    ] as const;
    const lying = readied({ aip: "4800", extra: limits, answers: [["80CA", "6A88"]] });
    expect(flags(lying.transaction).tvr).toEqual(
      expect.arrayContaining([TVR.lowerConsecutiveExceeded.name, TVR.upperConsecutiveExceeded.name]),
    );
    const sound = readied({ aip: "4800", extra: limits, answers: counters });
    expect(sound.commands.filter((each) => each.startsWith("80CA"))).toEqual(["80CA9F3600", "80CA9F1300"]);
    expect(flags(sound.transaction).tvr).not.toContain(TVR.lowerConsecutiveExceeded.name);
  });

  test("every step is reported, with the flags as they stood", () => {
    const { transaction } = readied();
    expect(transaction.steps.map(({ step }) => step)).toEqual([
      "selection",
      "initiate",
      "read",
      "oda",
      "restrictions",
      "cvm",
      "risk",
      "action",
    ]);
  });
});
