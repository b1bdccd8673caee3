/** Whatever goes wrong between a hub and an issuer: in the end their books hold the same, or the exception list says where not. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import type { Faults } from "../../sim/issuer/faults.ts";
import type { EntryBody } from "../../wire/journal-entry.ts";
import { cardFacts } from "./issuer-fixture.ts";
import {
  ANNA,
  advicesOf,
  EVERYTHING_WELL,
  endDay,
  euros,
  OTHERS,
  type SwitchStand,
  switchStand,
  toMidnight,
  until,
  viewOf,
} from "./switch-stand.ts";

const card = cardFacts("00");
const RUNS = Number(process.env["TILLWAY_TEST_SWITCH_RUNS"] ?? 25);

/** What a terminal does with a payment once it has its answer, or has waited enough. */
type End = "confirm" | "reverse" | "void" | "offline" | "refund" | "tip" | "tip, reversed" | "nothing";
/** What becomes of an amount that is held first; `part` of it is charged. */
type HoldEnd = "complete" | "part" | "void" | "reverse" | "nothing";
type Step =
  | { readonly do: "hold"; readonly pan: string; readonly minor: number; readonly end: HoldEnd }
  | { readonly do: "sell"; readonly pan: string; readonly minor: number; readonly attempts: number; readonly end: End }
  | { readonly do: "issuer"; readonly faults: Partial<Faults> }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "midnight" };

const FAULTS: readonly Partial<Faults>[] = [
  EVERYTHING_WELL,
  { mute: true },
  { lose: 1 },
  { lose: 3 },
  { double: true },
  { lateMs: 20 },
  { down: true },
  { partial: true },
  { decline: "51" },
  { decline: "91" },
  { signedOff: true },
  { garbage: { kinds: ["truncated", "unsolicited"], perSec: 100 } },
];
const sale = fc.record({
  do: fc.constant("sell" as const),
  pan: fc.constantFrom(ANNA, ...OTHERS),
  minor: fc.constantFrom(1, 900, 9_000, 10_001),
  attempts: fc.constantFrom(1, 1, 2),
  end: fc.constantFrom<End[]>("confirm", "refund", "tip", "tip, reversed", "reverse", "void", "offline", "nothing"),
});
const holding = fc.record({
  do: fc.constant("hold" as const),
  pan: fc.constantFrom(ANNA, ...OTHERS),
  minor: fc.constantFrom(2, 900, 9_000, 10_001),
  end: fc.constantFrom<HoldEnd[]>("complete", "part", "part", "void", "reverse", "nothing"),
});
const payment = fc.oneof({ weight: 2, arbitrary: sale }, { weight: 1, arbitrary: holding });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: payment },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("issuer" as const), faults: fc.constantFrom(...FAULTS) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(500, 5_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("midnight" as const) }) },
);

async function sell(
  stand: SwitchStand,
  paymentId: string,
  { pan, minor, attempts, end }: Extract<Step, { do: "sell" }>,
) {
  const { terminal } = stand.fixture;
  let approved = false;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const { answer } = await stand.buyInTime(paymentId, { pan, attempt, ...euros(minor) });
    approved = answer.outcome === "approved";
  }
  const told = (body: EntryBody) => terminal.tell(terminal.entry(body, { sealed: terminal.seal(paymentId, pan) }));
  const amount = euros(minor);
  if (end === "offline") await told(terminal.decision(paymentId, amount));
  else if (approved && ["confirm", "refund", "tip", "tip, reversed"].includes(end)) {
    await told(terminal.decision(paymentId, { ...amount, mode: "online", card }));
    if (end === "refund") await stand.buyInTime(`${paymentId}-back`, { pan, ...amount, ...refundOf(paymentId) });
    if (end === "tip" || end === "tip, reversed")
      await stand.buyInTime(`${paymentId}-tip`, { pan, ...tipOn(paymentId) });
    if (end === "tip, reversed") await told(terminal.reversal(`${paymentId}-tip`));
  } else if (end === "reverse") await told(terminal.reversal(paymentId, attempts));
  else if (end === "void") await told({ ...terminal.voided(paymentId, 1), ...amount });
}

const tipOn = (paymentId: string) => ({ ...refundOf(paymentId), kind: "tip", ...euros(100) }) as const;
const refundOf = (paymentId: string) => ({ kind: "refund", originalPaymentId: paymentId as PaymentId }) as const;

async function hold(stand: SwitchStand, paymentId: string, { pan, minor, end }: Extract<Step, { do: "hold" }>) {
  const { terminal } = stand.fixture;
  const kind = "pre-authorisation";
  const { answer } = await stand.buyInTime(paymentId, { pan, kind, ...euros(minor) });
  const told = (body: EntryBody) => terminal.tell(terminal.entry(body));
  if (end === "reverse") return await told(terminal.reversal(paymentId));
  if (answer.outcome !== "approved") return undefined;
  await told(terminal.decision(paymentId, { operation: kind, mode: "online", attempts: [1], ...euros(minor) }));
  if (end === "void") return await told(terminal.voided(paymentId, 1));
  if (end === "nothing") return undefined;
  const completion = { operation: "completion", mode: "online", originalPaymentId: paymentId as PaymentId } as const;
  const charged = euros(end === "part" ? Math.floor(minor / 2) : minor);
  return await told(terminal.decision(`bill-of-${paymentId}`, { ...completion, ...charged }));
}

const pay = (stand: SwitchStand, paymentId: string, step: Extract<Step, { do: "sell" | "hold" }>) =>
  step.do === "sell" ? sell(stand, paymentId, step) : hold(stand, paymentId, step);

/** Of each payment what is posted or held for it, here and there; of a completion under the name that the issuer knows. */
async function booksOf(stand: SwitchStand) {
  const { hub, terminal } = stand.fixture;
  const views = await hub.store.read((reading) =>
    hub.authorisation.transactions(reading, { terminalId: terminal.terminalId, afterNumber: 0, limit: 500 }),
  );
  const isCompletion = ({ payment }: (typeof views)[number]) => payment.content?.operation === "completion";
  const completed = new Map(
    views.filter(isCompletion).map(({ originalPaymentId, postedMinor }) => [originalPaymentId, postedMinor]),
  );
  return views
    .filter((view) => !isCompletion(view))
    .map(({ payment: { paymentId, content }, status, postedMinor }) => {
      const theirs = stand.booked(paymentId);
      const held = content?.operation === "pre-authorisation" && status === "authorised";
      return {
        paymentId,
        ours: status === "authorised" ? (content?.minor ?? 0n) : (completed.get(paymentId) ?? postedMinor),
        theirs: BigInt((held ? theirs?.heldMinor : theirs?.postedMinor) ?? 0),
        /** What he holds of it beside what is compared. */
        left: BigInt((held ? theirs?.postedMinor : theirs?.heldMinor) ?? 0),
      };
    });
}

async function compared(steps: readonly Step[]) {
  await using stand = await switchStand();
  for (const [index, one] of steps.entries()) {
    if (one.do === "sell" || one.do === "hold") await pay(stand, `p-${index}`, one);
    else if (one.do === "issuer") await stand.issuer.break({ ...EVERYTHING_WELL, ...one.faults });
    else if (one.do === "wait") await stand.fixture.clock.advance(one.ms);
    else toMidnight(stand);
  }
  await stand.issuer.clear();
  await stand.buyInTime("last-of-the-day");
  await until(stand, async () => {
    const { availability, advices, stoodInMinor } = await viewOf(stand);
    return availability === "up" && advices.open === 0 && stoodInMinor === 0n;
  });
  return { books: await booksOf(stand), log: await advicesOf(stand), days: await endDay(stand) };
}

test("RM1 RM15 the books of hub and issuer agree payment by payment, whatever was lost, doubled, late or decided without him", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
      const { books, log, days } = await compared(steps);
      expect(books.filter(({ ours, theirs, left }) => ours !== theirs || left !== 0n)).toEqual([]);
      expect(log.filter(({ state }) => state.at !== "delivered")).toEqual([]);
      expect(days.filter(({ state }) => state !== "in-balance")).toEqual([]);
    }),
    { numRuns: RUNS },
  );
}, 120_000);

test("RM15 where he refuses what was decided without him, the exception list names each difference", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(payment, { minLength: 1, maxLength: 8 }), async (payments) => {
      await using stand = await switchStand();
      await stand.goDown();
      for (const [index, one] of payments.entries()) await pay(stand, `p-${index}`, one);
      await stand.issuer.break({ ...EVERYTHING_WELL, refuseAdvices: "05" });
      await until(stand, async () => {
        const { availability, advices } = await viewOf(stand);
        return availability === "up" && advices.open === 0;
      });
      const listed = new Set(
        (await advicesOf(stand)).filter(({ state }) => state.at === "exception").map((one) => one.paymentId),
      );
      const differing = (await booksOf(stand)).filter(({ ours, theirs }) => ours !== theirs);
      for (const { paymentId } of differing) expect(listed).toContain(paymentId);
    }),
    { numRuns: Math.ceil(RUNS / 3) },
  );
}, 120_000);
