import { expect, test } from "vitest";
import { fromHex, toHex } from "../../../base/bytes.ts";
import { decodeCommand } from "../apdu.ts";
import { parseTranscript } from "../transcript.ts";
import { RecordedCard, type ReplayMode } from "./recorded-card.ts";

const cardOf = (mode: ReplayMode, ...lines: readonly string[]) =>
  new RecordedCard(parseTranscript(lines.join("\n")).exchanges, mode);
const send = (card: RecordedCard, command: string): string => {
  const answered = card.answer(decodeCommand(fromHex(command)));
  if (!answered.ok) return answered.error.why;
  return `${toHex(answered.value.data)} ${answered.value.status.toString(16)}`;
};

const APPLICATION = "00A4040008F054494C4C57415900";

test("an answer is fetched as T=0 wants it when the transcript was recorded below that (Book 1, 9.3.1.1)", () => {
  const card = cardOf(
    "strict",
    "> 00A4040008F054494C4C574159",
    "< 6104",
    "> 00C0000004",
    "< AABBCCDD9000",
    "> 80CA9F3600",
    "< 6C05",
    "> 80CA9F3605",
    "< 9F360200019000",
  );
  expect([send(card, APPLICATION), send(card, "80CA9F3600"), card.left()]).toEqual([
    "aabbccdd 9000",
    "9f36020001 9000",
    undefined,
  ]);
});

test("a fetch that is not in the transcript is a difference", () => {
  const card = cardOf("strict", "> 00A4040008F054494C4C574159", "< 6104", "> 80CA9F3600", "< 6A88");
  expect(send(card, APPLICATION)).toBe("unexpected-command");
});

test("strictly a command with another byte is refused, and the byte's place is named", () => {
  const card = cardOf("strict", "> 00B2010C00", "< 9000");
  expect(card.answer(decodeCommand(fromHex("00B2020C00")))).toMatchObject({
    ok: false,
    error: {
      why: "unexpected-command",
      line: 1,
      expected: "00b2010c00",
      actual: "00b2020c00",
      detail: expect.stringMatching(/: P1$/),
    },
  });
});

test("leniently a record means the one behind the last answer", () => {
  const card = cardOf(
    "lenient",
    "> 00A404000E315041592E5359532E444446303100",
    "< 9000",
    "> 00B2010C00",
    "< 01 9000",
    `> ${APPLICATION}`,
    "< 9000",
    "> 00B2010C00",
    "< 02 9000",
  );
  expect([send(card, APPLICATION), send(card, "00B2010C00"), send(card, "00B2010C00")]).toEqual([
    " 9000",
    "02 9000",
    "01 9000",
  ]);
});

test("leniently what is not there is answered as a card without it, and what cannot be made up ends it", () => {
  const card = cardOf("lenient", "> 80AE8000020102", "< 770A9000");
  expect(
    ["00A4040008F054494C4C57415900", "00B2010C00", "80CA9F1300", "0088000004A1B2C3D400"].map((each) =>
      send(card, each),
    ),
  ).toEqual([" 6a82", " 6a83", " 6a88", "unexpected-command"]);
  expect(send(card, "80AE500002010200")).toBe("770a 9000");
  expect(card.notes.at(-1)).toBe("GENERATE AC 5000: answered from line 1, which is not the same command");
});

test("leniently a file is found by the beginning of its name, and not by another's", () => {
  const card = cardOf("lenient", "> 00A4040005F054494C4C", "< 6F9000");
  expect([send(card, "00A4040007A000000004101000"), send(card, APPLICATION)]).toEqual([" 6a82", "6f 9000"]);
});
