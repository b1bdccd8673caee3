/** What the person beside the terminal should do about an entry of the queue, in one sentence. */
import type { QueueEntry, QueueState } from "../journal/journal.ts";
import type { EntryWait } from "./forwarder.ts";

/** `voided`: the state of the void that was to take it back. */
type Asked = Pick<QueueEntry, "sequence" | "paymentId" | "kind" | "state"> & { readonly voided?: QueueState };

export function whatToDo(entry: Asked, wait: EntryWait): string {
  const { sequence } = entry;
  switch (entry.state) {
    case "eligible":
    case "forwarding":
      return waiting(sequence, wait);
    case "processed":
      return entry.voided === "declined" ? CHARGED : "Nothing: the hub has taken it.";
    case "voided":
      if (entry.voided === "declined") return CHARGED;
      if (entry.voided === "processed") return "Nothing: it was cancelled, and nothing is charged.";
      return `It was cancelled here, and the hub has yet to confirm that: tillway queue show ${entry.paymentId} tells when it has.`;
    case "declined":
      if (entry.kind === "void") return CHARGED;
      return "The hub refused it for good: no money comes of it, so ask the customer for another payment.";
    case "expired":
      return "It came too late to be authorised: no money comes of it, so ask the customer for another payment.";
    case "quarantined":
      return `The hub set it aside: mend the cause, then tillway queue retry ${sequence}, or end it by tillway queue cancel ${sequence}.`;
  }
}

const CHARGED = "The hub had taken the payment before it was cancelled: the customer is charged, so refund it.";

function waiting(sequence: number, wait: EntryWait): string {
  switch (wait.at) {
    case "in-flight":
      return "Nothing: it is on its way, and its receipt is waited for.";
    case "resting":
      return `Nothing: it is sent again by itself; tillway queue force ${sequence} sends it now.`;
    case "behind":
      return "Nothing: it goes by itself, as soon as the hub is in reach and what comes before it is taken.";
  }
}
