/** Bugs in how one payment is made: its id, its answer, its end, its ticket. */
import type { Plant } from "./plant.ts";

const PURCHASE = "agent/payment/purchase.ts";
const NO_ANSWER = `return this.#cancel.aborted ? { on: "hub-cancelled" } : { on: "hub-unknown" };`;

export const PAYMENT_PLANTS: readonly Plant[] = [
  {
    name: "id-minted-inside-the-retry",
    shippedBy: "stripe-terminal-android #747: each retry of a payment has a new key, 8 orders became 19 charges",
    file: PURCHASE,
    find: NO_ANSWER,
    replace: `if (!this.#cancel.aborted && attempt < 3) return await this.#askHub(attempt + 1); ${NO_ANSWER}`,
    also: [
      {
        file: PURCHASE,
        find: "        paymentId: id,\n        attempt,",
        replace:
          '        paymentId: (attempt === 1 ? id : id.concat("-", String(attempt))) as typeof id,\n        attempt,',
      },
    ],
    seed: "13",
  },
  {
    name: "no-answer-taken-for-approval",
    shippedBy: "stripe-terminal-ios #294, #261: success reported in the middle of an outage, declined or lost later",
    file: PURCHASE,
    find: NO_ANSWER,
    replace: NO_ANSWER.replace(`"hub-unknown"`, `"hub-approved", answer: { responseCode: "00" }`),
    seed: "5",
  },
  {
    name: "no-reversal-after-a-timeout",
    shippedBy: "jpos-users 2022 (reversals that are not sent until acknowledged); Formance stack #1464",
    file: "agent/payment/purchase-machine.ts",
    find: "withReversal(\n          { ...declinedOffline(why)",
    replace: "((undone: object, _why: string) => undone as PurchaseDecision)(\n          { ...declinedOffline(why)",
    seed: "3",
  },
  {
    name: "request-leaves-before-it-is-stored",
    shippedBy: "odoo #60939: what left the till is in no record after the crash",
    file: PURCHASE,
    find: "await this.#steps.storeRequest(attempt);",
    replace: "void this.#steps.storeRequest(attempt).catch(() => undefined);",
    seed: "4",
  },
  {
    name: "interrupted-payment-resumed",
    shippedBy: "stripe-terminal-ios #261: a payment that nobody finished is shown as made",
    file: "agent/payment/recovery.ts",
    find: `    outcome: "aborted",`,
    replace: `    outcome: attempts.length > 0 ? "approved" : "aborted",`,
    also: [
      {
        file: "agent/payment/recovery.ts",
        find: "  return [\n    { body: decision },\n    ...attempts.map(",
        replace:
          "  if (attempts.length > 0) return [{ body: decision, forward: true }];\n  return [\n    { body: decision },\n    ...attempts.map(",
      },
    ],
    seed: "1",
  },
  {
    name: "card-command-repeated",
    shippedBy: "pokusew/nfc-pcsc #84, node-pcsclite #9: a reader that hangs is asked again, whatever the card did",
    file: PURCHASE,
    find: `this.#steps.timed("cardMs", () => session.transceive(command, signal)),`,
    replace: `this.#steps.timed("cardMs", () => session.transceive(command, signal).catch(() => session.transceive(command, signal))),`,
    seed: "2",
  },
  {
    name: "success-told-before-the-commit",
    shippedBy: "stripe-terminal-ios #261, odoo PR #288974: success shown for a payment that was never stored",
    file: "agent/payment/purchase-steps.ts",
    find: `await this.timed("journalMs", () => this.#deps.journal.append(entries));`,
    replace: `void this.timed("journalMs", () => this.#deps.journal.append(entries)).catch(() => undefined);`,
    seed: "2",
  },
  {
    name: "second-tap-starts-a-second-payment",
    shippedBy:
      "ERPNext #12971, #11000: one invoice in fifteen twice, from a button pressed while the first was on its way",
    file: "agent/payment/desk.ts",
    find: "const known = this.#askedFirst(id);\n    if (known) {",
    replace: "const known = askedFirst(this.#options.journal, id);\n    if (known) {",
    seed: "1",
  },
  {
    name: "sale-voided-while-it-is-forwarded",
    shippedBy: "Clover uservoice 44216556, Square: a queued payment is taken back while its upload runs",
    file: "agent/saf/saf-machine.ts",
    find: `return state.at === "eligible" ? ended(state, "voided") : stay(state);`,
    replace: `return ended(state, "voided");`,
    seed: "1",
  },
  {
    name: "print-retried-after-success",
    shippedBy: "odoo IoT box PR #244076: a retry after a false error prints twice",
    file: "agent/payment/ticket-printer.ts",
    find: `return { begun, result: onPaper(printed.error), why: printed.error.why };`,
    replace: `if (printed.error.why !== "paper-out") return await this.#send(printer, document, async () => undefined);
      return { begun, result: onPaper(printed.error), why: printed.error.why };`,
    seed: "2",
  },
  {
    name: "possible-copy-unmarked",
    shippedBy: "odoo IoT box PR #223525, #59059: printed again when the status is unknown, with nothing that says so",
    file: "agent/payment/payment-view.ts",
    find: `return doubtful ? "possible-copy" : "original";`,
    replace: `return doubtful ? "original" : "original";`,
    seed: "1",
  },
  {
    name: "print-intent-written-behind",
    shippedBy: "odoo #60939, #59059: paper first, record later, and the crash between them",
    file: "agent/payment/ticket-printer.ts",
    find: `await this.#append({ kind: "print-intent", paymentId: id, at: this.#options.timestamp(), print, marking });`,
    replace: `this.#options.clock.after(1_000, () => void this.#append({ kind: "print-intent", paymentId: id, at: this.#options.timestamp(), print, marking }).catch(() => undefined));`,
    seed: "1",
  },
];
