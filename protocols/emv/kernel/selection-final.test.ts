/** Selection over PPSE, and of the application that is run in the end (Book 1, 12.4). */
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../../base/bytes.ts";
import { type Line, play, text, tlv } from "./dialogue-fixture.ts";
import { chooseCandidate, listCandidates, selectFinally } from "./selection.ts";
import { terminalWith } from "./transaction-fixture.ts";

const select = (aid: string, p2 = "00"): string => `00A404${p2}07 ${aid} 00`;

describe("over PPSE", () => {
  const SELECT_PPSE = "00A404000E 325041592E5359532E4444463031 00";
  const contactless = { ...terminalWith(["F054494C4C574159", "exact"]), entry: "contactless" as const };
  const ppse = (...aids: readonly string[]): string =>
    `${tlv([
      0x6f,
      [
        [0x84, "325041592E5359532E4444463031"],
        [0xa5, [[0xbf0c, aids.map((aid) => [0x61, [[0x4f, aid]]] as const)]]],
      ],
    ])}9000`;

  test("RM13: a card that offers only brands' applications is sent to the contact reader", () => {
    const { result } = play(listCandidates(contactless), [[SELECT_PPSE, ppse("A0000000031010", "A0000000041010")]]);
    expect(result).toMatchObject({ ok: false, error: { code: "use-contact" } });
  });

  test("RM13: of several applications only the allowed one is a candidate, and runs without asking", () => {
    const { result } = play(listCandidates(contactless), [[SELECT_PPSE, ppse("A0000000031010", "F054494C4C574159")]]);
    if (!result.ok) throw new Error(result.error.detail);
    expect(result.value.map(({ aid }) => toHex(aid))).toEqual(["f054494c4c574159"]);
    const state = { terminal: contactless, removed: undefined, asked: false };
    expect(play(chooseCandidate(result.value, state), []).result.ok).toBe(true);
  });

  test("a card without it has no application here", () => {
    const { result } = play(listCandidates(contactless), [[SELECT_PPSE, "6A82"]]);
    expect(result).toMatchObject({ ok: false, error: { code: "no-application" } });
  });
});

describe("final selection", () => {
  const terminal = terminalWith(["A0000000031010", "partial"]);
  const one = { aid: fromHex("A0000000031010"), label: "ONE", priority: 1, confirm: false };
  const two = { ...one, label: "TWO" };
  const state = { terminal, removed: undefined, asked: false };

  test("takes a single application without asking, unless it wants to be confirmed", () => {
    expect(play(chooseCandidate([one], state), []).result).toMatchObject({ ok: true, value: { asked: false } });
    const confirmed = play(chooseCandidate([{ ...one, confirm: true }], state), [{ choose: 0 }]);
    expect(confirmed.result.ok).toBe(true);
    const refused = play(chooseCandidate([{ ...one, confirm: true }], state), [{ choose: undefined }]);
    expect(refused.result).toMatchObject({ ok: false, error: { code: "cancelled" } });
  });

  test("asks among several, and after a choice that failed also for the only one left (12.4)", () => {
    const first = play(chooseCandidate([one, two], state), [{ choose: 1 }]);
    expect(first.result).toMatchObject({ ok: true, value: { candidate: { label: "TWO" }, asked: true } });
    const again = play(chooseCandidate([one], { ...state, removed: "unusable", asked: true }), [{ choose: 0 }]);
    expect(again.offered).toEqual([[one]]);
  });

  const fci = (aid: string): string =>
    tlv([
      0x6f,
      [
        [0x84, aid],
        [0xa5, [[0x50, text("CARD")]]],
      ],
    ]);
  test.each([
    ["6A82", "unusable"],
    ["6A81", "unusable"],
    ["6283", "blocked"],
    ["9000", "unusable"],
    [`${fci("A000000003101001")}9000`, "unusable"],
  ])("an answer of %s makes the application %s", (answer, expected) => {
    const { result } = play(selectFinally(one, terminal), [[select("A0000000031010"), answer]]);
    expect(result).toEqual({ ok: true, value: expected });
  });

  test("keeps what the card says of itself", () => {
    const { result } = play(selectFinally(one, terminal), [[select("A0000000031010"), `${fci("A0000000031010")}9000`]]);
    expect(result).toMatchObject({ ok: true, value: { label: "CARD", aid: one.aid } });
  });

  // Book 1, 12.2.2.
  test("keeps the preferred name that the directory's code table gave", () => {
    const answer = `${tlv([
      0x6f,
      [
        [0x84, "A0000000031010"],
        [
          0xa5,
          [
            [0x50, text("CARD")],
            [0x9f12, "A3FF"],
          ],
        ],
      ],
    ])}9000`;
    const script: readonly Line[] = [[select("A0000000031010"), answer]];
    expect(play(selectFinally(one, terminal), script).result).toMatchObject({ value: { label: "ONE" } });
    const unnamed = { ...one, label: "A0000000031010" };
    expect(play(selectFinally(unnamed, terminal), script).result).toMatchObject({ value: { label: "CARD" } });
  });

  test("shows the preferred name only where the terminal has its code table", () => {
    const polish = `${tlv([
      0x6f,
      [
        [0x84, "A0000000031010"],
        [
          0xa5,
          [
            [0x50, text("ZLOTY")],
            [0x9f11, "02"],
            [0x9f12, "A3FF"],
          ],
        ],
      ],
    ])}9000`;
    const script: readonly Line[] = [[select("A0000000031010"), polish]];
    expect(play(selectFinally(one, terminal), script).result).toMatchObject({ value: { label: "ZLOTY" } });
    const able = { ...terminal, additionalCapabilities: fromHex("F000000002") };
    expect(play(selectFinally(one, able), script).result).toMatchObject({ value: { label: "Ł˙" } });
  });
});
