/** Gives back what is held for longer than it may be: an approval that nobody confirmed, a pre-authorisation that nobody completed. */
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import { isHeld } from "./hold.ts";
import { settleMeans } from "./means.ts";
import { readHoldId } from "./postings.ts";
import type { RequestParts } from "./request.ts";
import type { AttemptRecord } from "./store.ts";

type ExpiryParts = Pick<RequestParts, "within" | "store" | "postings" | "means" | "acquiring">;

/** Of an attempt whose hold is over, whether or not that was noted before: its time was its end, and not its reversal or another attempt. */
export const hasRunOut = ({ state }: AttemptRecord): boolean => state === "expired" || state === "approved";

/** Returns how many there were, at most `limit`. */
export async function expireHolds(parts: ExpiryParts, limit: number): Promise<number> {
  const { within, store, postings, means, acquiring } = parts;
  const expired = await postings.expireDue(within, limit);
  for (const id of expired) {
    const hold = readHoldId(id);
    if (!hold) continue;
    const key = { terminalId: hold.terminalId as TerminalId, paymentId: hold.paymentId as PaymentId };
    const payment = await store.payment(within, key);
    const attempt =
      payment && (await store.attempts(within, payment.number)).find((one) => one.attempt === hold.attempt);
    if (!attempt || !hasRunOut(attempt)) continue;
    await store.moveAttempt(within, payment.number, hold.attempt, "expired");
    // Posted without its hold, it has its end, and what paid it stays spent.
    if (payment.state !== "open") continue;
    const why = isHeld(payment) ? "never-completed" : "never-confirmed";
    await acquiring?.withdraw(within, key, hold.attempt, { why });
    await settleMeans(within, { means: means(), key, outcome: "released" });
  }
  return expired.length;
}
