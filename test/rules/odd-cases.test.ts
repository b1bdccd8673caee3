import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Fault } from "../../base/fault.ts";
import type { PaymentId } from "../../base/ids.ts";
import { money } from "../../base/money.ts";
import { cardProfile } from "../../sim/card/profiles.ts";
import { Till } from "./till.ts";

const id = (text: string) => text as PaymentId;
const eur = (minor: bigint) => money(minor, "EUR");
const standard = cardProfile("standard");

describe("a card or reader that is out of the ordinary ends one sale, not the agent", () => {
  test("a reader that fails with many words", async () => {
    await using till = new Till();
    till.slot.fault = new Fault("transport.failed", "pcscd said: ".padEnd(900, "x"));
    expect(await Promise.race([till.sell("P-1"), fatal(till)])).toMatchObject({ status: "aborted" });
    expect(till.fatal).toEqual([]);
  });

  test.each([
    ["no digits at all", ""],
    ["three digits", "476"],
    ["ten digits, all of which a masked number would show", "4761739001"],
    ["more digits than a card number has", "47617390010100104761"],
  ])("RM5 a card number of %s", async (_what, pan) => {
    await using till = new Till();
    till.hub.state = "down";
    till.slot.profile = { ...standard, pan };
    const sale = await Promise.race([till.sell("P-1"), fatal(till)]);
    expect(sale).toMatchObject({ status: "aborted" });
    expect(till.journal.queue()).toEqual([]);
  });
});

test("RM3 whatever a card answers, the sale ends with a decision and the agent goes on", async () => {
  const harm = fc.record({ at: fc.nat(12), byte: fc.nat(80), value: fc.nat(255), cut: fc.option(fc.nat(60)) });
  const harms = fc.array(harm, { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(harms, fc.constantFrom("up", "down"), async (list, state) => {
      await using till = new Till();
      till.hub.state = state;
      till.slot.garble = (response, index) => {
        const bytes = Uint8Array.from(response);
        for (const { at, byte, value, cut } of list) {
          if (at !== index) continue;
          bytes[byte % bytes.length] = value;
          if (cut !== null) return bytes.slice(0, Math.max(2, cut % (bytes.length + 1)));
        }
        return bytes;
      };
      const sale = till.sell("P-1");
      await Promise.race([sale, till.clock.advance(50)]);
      expect(till.fatal).toEqual([]);
      expect((await sale).status).toMatch(/approved|declined|aborted/);
    }),
    { numRuns: 60 },
  );
});

describe("the expiry of a card", () => {
  test("is not over for a terminal whose clock was never set", async () => {
    await using till = new Till();
    till.clock.setWall(0);
    expect(await till.sell("P-1")).toMatchObject({ status: "approved" });
  });

  test("is over for a card of the last century", async () => {
    await using till = new Till();
    till.slot.profile = { ...standard, expiry: "9912" };
    till.hub.state = "down";
    expect(await till.sell("P-1")).toMatchObject({ status: "declined", responseCode: "Z3" });
  });

  test("is the issuer's to judge while it can be asked", async () => {
    await using till = new Till();
    till.slot.profile = { ...standard, expiry: "9912" };
    expect(await till.sell("P-1")).toMatchObject({ status: "approved", mode: "online" });
    // Byte 2, bit 7 of tag 95: expired application.
    expect(till.hub.requests[0]?.iccData).toMatch(/9505..4/);
  });
});

describe("a customer behind another one", () => {
  test("is let go at once when cancelled, while the first still looks for the card", async () => {
    await using till = new Till();
    till.cardComes = false;
    const first = till.sell("P-1");
    const second = till.sell("P-2");
    await till.clock.advance(10);
    expect(till.desk.cancel(id("P-2")).ok).toBe(true);
    await till.clock.advance(10);
    expect(till.desk.get(id("P-2"))).toMatchObject({ status: "aborted", detail: "cancelled before a card came" });
    expect(till.desk.get(id("P-1"))).toMatchObject({ status: "processing" });
    await till.clock.advance(60_000);
    expect((await Promise.all([first, second])).map((sale) => sale.reason)).toEqual(["E_TIMEOUT", "E_STATE"]);
  });

  test("whose time is over before the turn came is not told that there is no reader", async () => {
    await using till = new Till();
    till.cardComes = false;
    const first = till.sell("P-1");
    const second = till.sell("P-2");
    await till.clock.advance(10);
    await till.clock.advance(60_000);
    await first;
    expect(await second).toMatchObject({ status: "aborted", reason: "E_TIMEOUT" });
  });
});

describe("a void that comes again", () => {
  test("RM12 gives the first answer, also when both come at once", async () => {
    await using till = new Till();
    await till.sell("P-1");
    const both = await Promise.all([till.desk.void(id("P-1"), "wrong"), till.desk.void(id("P-1"), "wrong")]);
    expect(both).toMatchObject([
      { ok: true, value: { status: "voided" } },
      { ok: true, value: { status: "voided" } },
    ]);
    expect(await till.desk.void(id("P-1"), undefined)).toMatchObject({ ok: true, value: { status: "voided" } });
    expect(till.kinds("P-1").filter((kind) => kind === "void")).toEqual(["void"]);
  });
});

describe("a refund's id", () => {
  test("RM4 gives the first answer although the original is no longer one that can be refunded", async () => {
    await using till = new Till();
    await till.sell("P-1");
    till.hub.answer = "decline";
    const asked = { id: id("R-1"), originalId: id("P-1"), amount: eur(1234n) };
    expect(till.desk.beginRefund(asked).ok).toBe(true);
    await till.desk.ended(id("R-1"), new AbortController().signal);
    await till.desk.void(id("P-1"), undefined);
    expect(till.desk.beginRefund(asked)).toMatchObject({ ok: true, value: { status: "declined" } });
  });

  test("RM4 with another amount is a conflict that names it, however large that amount is", async () => {
    await using till = new Till();
    await till.sell("P-1");
    till.desk.beginRefund({ id: id("R-1"), originalId: id("P-1"), amount: eur(100n) });
    const again = () => till.desk.beginRefund({ id: id("R-1"), originalId: id("P-1"), amount: eur(9999n) });
    expect(again()).toMatchObject({ ok: false, error: { why: "conflict", field: "amount.minor" } });
    await till.desk.ended(id("R-1"), new AbortController().signal);
    expect(again()).toMatchObject({ ok: false, error: { why: "conflict", field: "amount.minor" } });
  });

  test("RM1 is never that of its original, whose attempt a reversal would name", async () => {
    await using till = new Till();
    const refund = till.desk.beginRefund({ id: id("P-9"), originalId: id("P-9"), amount: eur(100n) });
    expect(refund).toMatchObject({ ok: false, error: { why: "not-allowed" } });
    expect(till.hub.requests).toEqual([]);
  });
});

describe("a ticket", () => {
  test("that became void while another was on the printer is not printed as a sale", async () => {
    await using till = new Till();
    let release = () => {};
    await till.sell("P-1");
    await till.printed("P-1");
    till.paper.hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    const copy = till.desk.reprint(id("P-1"));
    await till.sell("P-2");
    await till.clock.advance(10);
    await till.desk.void(id("P-2"), undefined);
    release();
    await copy;
    await till.clock.advance(5_000);
    expect(till.kinds("P-2")).toEqual(["intent", "online-requested", "decision", "void"]);
    expect(till.paper.documents.length).toBe(2);
  });

  test("asked for again while it waits its turn is printed once", async () => {
    await using till = new Till();
    let release = () => {};
    await till.sell("P-1");
    await till.printed("P-1");
    till.paper.hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    const copy = till.desk.reprint(id("P-1"));
    await till.sell("P-2");
    const early = till.desk.reprint(id("P-2"));
    await till.clock.advance(10);
    release();
    await Promise.all([copy, early]);
    await till.clock.advance(5_000);
    expect(till.kinds("P-2").filter((kind) => kind === "printed").length).toBe(1);
  });
});

describe("a disk that is full for a while", () => {
  test("refuses the sale before any card, does not end the agent, and leaves the id free", async () => {
    await using till = new Till();
    till.appendsRefused = 1;
    await expect(till.sell("P-1")).rejects.toMatchObject({ code: "journal.full" });
    expect([till.fatal, till.slot.commands, till.desk.running]).toEqual([[], [], 0]);
    expect(await till.sell("P-1")).toMatchObject({ status: "approved" });
  });

  test("ends the agent when it cannot be read either: whether the intent is stored is then not known", async () => {
    await using till = new Till();
    till.appendsRefused = 1;
    const read = till.journal.entriesOf.bind(till.journal);
    const sale = till.sell("P-1");
    till.journal.entriesOf = () => {
      throw new Fault("journal.failed", "cannot be read");
    };
    await expect(sale).rejects.toMatchObject({ code: "journal.full" });
    await till.clock.advance(100);
    till.journal.entriesOf = read;
    expect(till.fatal).toMatchObject([{ code: "journal.full" }]);
  });

  test("ends the agent when a payment is under way: what the card said cannot be kept", async () => {
    await using till: Till = new Till({
      onStage(stage) {
        if (stage === "records-read") till.appendsRefused = 9;
      },
    });
    await expect(till.sell("P-1")).rejects.toMatchObject({ code: "journal.full" });
    expect(till.fatal).toMatchObject([{ code: "journal.full" }]);
  });

  test("RM3 prints no ticket whose intent it could not keep, and the ticket later", async () => {
    await using till: Till = new Till({
      onStage(stage) {
        if (stage === "answered") till.appendsRefused = 1;
      },
    });
    await till.sell("P-1");
    await till.clock.advance(100);
    expect([till.fatal, till.paper.documents.length, till.kinds("P-1").at(-1)]).toEqual([[], 0, "decision"]);
    await till.printed("P-1");
    expect([till.paper.documents.length, till.kinds("P-1").at(-1)]).toEqual([1, "printed"]);
  });

  test("RM3 marks the next ticket as a possible copy when it could not keep that the first one was printed", async () => {
    await using till: Till = new Till({
      onStage(stage) {
        if (stage === "print-finished" && till.paper.documents.length === 1) till.appendsRefused = 1;
      },
    });
    await till.sell("P-1");
    await till.printed("P-1");
    const markings = till.journal
      .entriesOf(id("P-1"))
      .flatMap(({ body }) => (body.kind === "print-intent" ? [body.marking] : []));
    expect([till.fatal, markings]).toEqual([[], ["original", "possible-copy"]]);
  });
});

/** Resolves when the agent would end. */
async function fatal(till: Till): Promise<unknown> {
  for (let turn = 0; turn < 200 && till.fatal.length === 0; turn += 1) await till.clock.advance(100);
  return { fatal: till.fatal };
}
