/** What the person beside the terminal should do about an entry of the queue, in one sentence. */
import type { QueueEntry } from "../journal/journal.ts";
import type { EntryWait } from "./forwarder.ts";

export function whatToDo(entry: Pick<QueueEntry, "sequence" | "state">, wait: EntryWait): string {
  const { sequence } = entry;
  switch (entry.state) {
    case "eligible":
    case "forwarding":
      return waiting(sequence, wait);
    case "processed":
      return "Nothing: the hub has taken it.";
    case "voided":
      return "Nothing: it was cancelled, and nothing is charged.";
    case "declined":
      return "The hub refused it for good: no money comes of it, so ask the customer for another payment.";
    case "expired":
      return "It came too late to be authorised: no money comes of it, so ask the customer for another payment.";
    case "quarantined":
      return `The hub set it aside: mend the cause, then tillway queue retry ${sequence}, or end it by tillway queue cancel ${sequence}.`;
  }
}

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
