import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex } from "../../base/bytes.ts";
import { ManualClock } from "../../base/clock.ts";
import { PrinterMechanism, RECEIVE_BUFFER_BYTES } from "./mechanism.ts";
import type { Ticket } from "./paper.ts";

function bench(columns = 42) {
  const clock = new ManualClock(Date.UTC(2026, 2, 1, 8, 30));
  const sent: number[] = [];
  const tickets: Ticket[] = [];
  const mechanism = new PrinterMechanism({
    columns,
    clock,
    send: (bytes) => sent.push(...bytes),
    onTicket: (ticket) => tickets.push(ticket),
  });
  const receive = (...parts: readonly (string | readonly number[])[]) => {
    for (const part of parts)
      mechanism.receive(typeof part === "string" ? Buffer.from(part, "latin1") : Uint8Array.from(part));
  };
  return { clock, sent, tickets, mechanism, receive };
}

const CUT = [0x1d, 0x56, 0x00];
const STATUS = (part: number) => [0x10, 0x04, part];

describe("the simulated printer reads ESC/POS", () => {
  test("a ticket is what was printed since the last cut", () => {
    const { receive, tickets } = bench();
    receive("first\n", CUT, "second\nof two lines\n\n\n\n", [0x1d, 0x56, 0x42, 0x03]);
    expect(tickets.map(({ number, text, cut, cutAt }) => ({ number, text, cut, cutAt }))).toEqual([
      { number: 1, text: "first", cut: "full", cutAt: "2026-03-01T08:30:00.000Z" },
      { number: 2, text: "second\nof two lines", cut: "partial", cutAt: "2026-03-01T08:30:00.000Z" },
    ]);
  });

  test("a cut through empty paper is counted and makes no ticket; the same text again is told", () => {
    const { receive, tickets, mechanism } = bench();
    receive(CUT, "same\n", CUT, "same\n", CUT, "other\n", CUT, "same\n", CUT);
    expect(mechanism.counts.cuts).toBe(5);
    expect(tickets.map((ticket) => ticket.sameAsEarlier)).toEqual([0, 1, 0, 2]);
  });

  test.each([
    ["0", "é is 82h", [0x82], "é"],
    ["19", "€ is D5h", [0xd5], "€"],
    ["16", "€ is 80h", [0x80], "€"],
    ["18", "ł is 88h", [0x88], "ł"],
    ["17", "Ж is 86h", [0x86], "Ж"],
    ["14", "λ is A2h", [0xa2], "λ"],
  ])("on page %s %s", (page, _what, bytes, text) => {
    const { receive, tickets } = bench();
    receive([0x1b, 0x74, Number(page)], bytes, "\n", CUT);
    expect(tickets[0]?.text).toBe(text);
  });

  test("lines wrap at the paper's edge, doubled letters twice as early; alignment counts their width", () => {
    const { receive, tickets } = bench(10);
    receive("abcdefghijkl\n", [0x1d, 0x21, 0x11], "abcdef\n", [0x1b, 0x61, 0x02], "ab\n", CUT);
    expect(tickets[0]?.text.split("\n")).toEqual(["abcdefghij", "kl", "abcde", "f", "      ab"]);
  });

  test("QR codes, barcodes, images and the drawer are seen", () => {
    const { receive, tickets } = bench();
    receive([0x1b, 0x70, 0, 50, 250]);
    receive([0x1d, 0x28, 0x6b, 5, 0, 0x31, 0x50, 0x30], "hi", [0x1d, 0x28, 0x6b, 3, 0, 0x31, 0x51, 0x30]);
    receive([0x1d, 0x6b, 0x49, 4], "{BA1", [0x1d, 0x76, 0x30, 0, 2, 0, 3, 0], [1, 2, 3, 4, 5, 6], "x\n", CUT);
    expect(tickets[0]?.text).toBe("[QR hi]\n[BARCODE {BA1]\n[IMAGE 16x3]\nx");
    expect(tickets[0]?.marks).toEqual([{ kind: "drawer", pin: 2 }]);
  });

  test("an unknown command is noted and harms nothing", () => {
    const { receive, tickets } = bench();
    receive([0x1b, 0x7e], [0x1d, 0x28, 0x58, 2, 0, 9, 9], "ok\n", CUT);
    expect(tickets[0]?.text).toBe("ok");
    expect(tickets[0]?.marks.map((mark) => mark.kind)).toEqual(["unknown-command", "unknown-command"]);
  });

  test("the picture escapes what is text and holds every letter to its column", () => {
    const { receive, tickets } = bench();
    receive("<script>&\n", CUT);
    expect(tickets[0]?.svg).toContain('textLength="72" lengthAdjust="spacingAndGlyphs">&lt;script&gt;&amp;</text>');
    expect(tickets[0]?.svg).toContain('fill="white"');
    expect(tickets[0]?.svg).not.toMatch(/https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
  });
});

describe("the simulated printer answers", () => {
  test.each([
    ["well", {}, "12121212"],
    ["paper out", { paper: "out" }, "1a32127e"],
    ["paper near its end", { paper: "near-end" }, "1212121e"],
    ["cover open", { coverOpen: true }, "1a161212"],
    ["jammed", { jammed: true }, "1a521a12"],
    ["hung", { hung: true }, ""],
  ] as const)("DLE EOT 1 to 4 when %s", (_what, change, hex) => {
    const { receive, sent, mechanism } = bench();
    mechanism.change(change);
    for (const part of [1, 2, 3, 4]) receive(STATUS(part));
    expect(toHex(Uint8Array.from(sent))).toBe(hex);
  });

  test("in real time from the middle of a command, and in order for GS r", () => {
    const { receive, sent, mechanism, tickets } = bench();
    mechanism.change({ paper: "out" });
    receive("late\n", CUT, [0x1d, 0x72, 0x01], [0x1d, 0x28], STATUS(1));
    expect(toHex(Uint8Array.from(sent))).toBe("1a");
    mechanism.change({ paper: "near-end" });
    expect(toHex(Uint8Array.from(sent))).toBe("1a03");
    expect(tickets.map((ticket) => ticket.text)).toEqual(["late"]);
  });

  test("by itself after GS a", () => {
    const { receive, sent, mechanism } = bench();
    receive([0x1d, 0x61, 0xff]);
    mechanism.change({ paper: "out" });
    receive([0x1d, 0x61, 0x00]);
    mechanism.change({ paper: "ok" });
    expect(toHex(Uint8Array.from(sent))).toBe("1000000018000f001000000".padEnd(24, "0"));
  });
});

describe("the simulated printer fails as real ones do", () => {
  test("it keeps what it received while the paper is out, unless the power goes", () => {
    const { receive, mechanism, tickets } = bench();
    mechanism.breakDown({ what: "paper-out", afterBytes: 3 });
    receive("abcdef\n", CUT);
    expect(mechanism.state.paper).toBe("out");
    expect(mechanism.counts).toMatchObject({ consumedBytes: 3, bufferedBytes: 7 });
    mechanism.change({ paper: "ok" });
    expect(tickets.map((ticket) => ticket.text)).toEqual(["abcdef"]);
    mechanism.change({ paper: "out" });
    receive("gone\n", CUT);
    mechanism.powerCycle();
    mechanism.change({ paper: "ok" });
    expect(tickets.length).toBe(1);
  });

  test("it prints at its pace", async () => {
    const { receive, mechanism, tickets, clock } = bench();
    mechanism.change({ pace: 100 });
    receive("0123456789\n", CUT);
    await clock.advance(100);
    expect(mechanism.counts.consumedBytes).toBe(10);
    await clock.advance(100);
    expect(tickets.map((ticket) => ticket.text)).toEqual(["0123456789"]);
  });

  test("it is full at its limit", () => {
    const { receive, mechanism } = bench();
    mechanism.change({ coverOpen: true });
    receive("x".repeat(RECEIVE_BUFFER_BYTES));
    expect(mechanism.full).toBe(true);
    mechanism.change({ coverOpen: false });
    expect(mechanism.full).toBe(false);
  });

  test("no bytes make it throw, and all are consumed however they are cut into chunks", () => {
    const lead = fc.constantFrom(0x10, 0x1b, 0x1c, 0x1d, 0x0a);
    const stream = fc.array(fc.oneof(lead, fc.integer({ min: 0, max: 255 })), { maxLength: 400 });
    fc.assert(
      fc.property(stream, (bytes) => {
        const whole = bench();
        const single = bench();
        whole.receive(bytes);
        for (const byte of bytes) single.receive([byte]);
        expect(single.tickets).toEqual(whole.tickets);
        expect(single.sent).toEqual(whole.sent);
        expect(single.mechanism.uncut).toBe(whole.mechanism.uncut);
        expect(whole.mechanism.counts.bufferedBytes).toBe(0);
      }),
    );
  });
});
