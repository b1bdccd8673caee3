import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { localTime } from "../../base/clock.ts";
import type { PaymentId } from "../../base/ids.ts";
import { currencyOf } from "../../base/money.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import { nextMarking, nextPrint, viewOf } from "./payment-view.ts";
import { receiptOf } from "./receipt.ts";

const paymentId = "P-1" as PaymentId;
const at = "2026-01-05T09:00:00.000Z";
const amount = { minor: "1234", currency: currencyOf("EUR") };
const intent: EntryBody = { kind: "intent", paymentId, at, operation: "purchase", amount };
const approved: EntryBody = {
  kind: "decision",
  paymentId,
  at,
  outcome: "approved",
  mode: "offline",
  operation: "purchase",
  amount,
  attempts: [],
  businessDate: "2026-01-05",
  responseCode: "Y1",
};
const begun = (print: number): EntryBody => ({ kind: "print-intent", paymentId, at, print, marking: "original" });
const ended = (print: number, result: "proven" | "unproven" | "nothing"): EntryBody => ({
  kind: "printed",
  paymentId,
  at,
  print,
  result,
});

describe("the marking of the next ticket", () => {
  test("RM3 an original stays due while no byte of one has left", () => {
    expect(nextMarking([intent, approved])).toBe("original");
    expect(nextMarking([intent, approved, begun(1), ended(1, "nothing")])).toBe("original");
  });

  test("RM3 a print that was begun and never ended marks the next as a possible copy", () => {
    expect(nextMarking([intent, approved, begun(1)])).toBe("possible-copy");
    expect(nextMarking([intent, approved, begun(1), ended(1, "unproven")])).toBe("possible-copy");
    expect(nextMarking([intent, approved, begun(1), ended(1, "unproven"), begun(2), ended(2, "nothing")])).toBe(
      "possible-copy",
    );
  });

  test("after a proven ticket every other is a copy", () => {
    expect(nextMarking([intent, approved, begun(1), ended(1, "proven")])).toBe("copy");
  });

  test("RM3 over any history of prints at most one ticket that may be on paper is unmarked", () => {
    const result = fc.constantFrom("proven", "unproven", "nothing", "crash" as const);
    fc.assert(
      fc.property(fc.array(result, { maxLength: 12 }), (results) => {
        const entries: EntryBody[] = [intent, approved];
        let unmarkedOnPaper = 0;
        for (const outcome of results) {
          const print = nextPrint(entries);
          const marking = nextMarking(entries);
          entries.push({ kind: "print-intent", paymentId, at, print, marking });
          if (outcome !== "crash") entries.push(ended(print, outcome));
          if (outcome !== "nothing" && marking === "original") unmarkedOnPaper += 1;
        }
        expect(unmarkedOnPaper).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("a view", () => {
  test("shows a payment as processing until its decision", () => {
    expect(viewOf([intent], undefined)).toMatchObject({
      status: "processing",
      ticket: "none",
      amount: { minor: 1234n },
    });
    expect(viewOf([intent, approved], "eligible")).toMatchObject({
      status: "approved",
      ticket: "pending",
      queue: "eligible",
    });
  });

  test("is absent for entries without an intent", () => {
    expect(viewOf([approved], undefined)).toBeUndefined();
  });
});

describe("a receipt", () => {
  const view = viewOf([intent, approved], "eligible");
  const site = { merchantName: "Kiosk", addressLines: [], timeZone: "Europe/Berlin", language: "de" } as const;

  test("is marked offline, in the site's language, zone and currency", () => {
    if (!view) throw new Error("no view");
    const text = JSON.stringify(receiptOf({ payment: view, site, terminalId: "T1", marking: "possible-copy" }));
    expect(text).toContain("OFFLINE ANGENOMMEN");
    expect(text).toContain("MÖGLICHE KOPIE");
    expect(text).toContain("12,34 EUR");
    expect(text).toContain("2026-01-05 10:00:00");
  });

  test("shows local time across a change to summer time", () => {
    expect(localTime(Date.parse("2026-03-29T00:59:59Z"), site.timeZone)).toBe("2026-03-29 01:59:59");
    expect(localTime(Date.parse("2026-03-29T01:00:00Z"), site.timeZone)).toBe("2026-03-29 03:00:00");
  });
});
