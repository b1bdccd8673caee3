/** What the person beside the terminal should do about an entry of the queue, in one sentence. */
import type { Operation } from "../../wire/common.ts";
import type { QueueEntry, QueueState } from "../journal/journal.ts";
import type { EntryWait } from "./forwarder.ts";

export interface Asked extends Pick<QueueEntry, "sequence" | "paymentId" | "state"> {
  /** What it approves, or takes back. */
  readonly subject: Operation | "reversal" | "void";
  /** Of an approval: the state of the void that was to take it back. */
  readonly voided?: QueueState;
  readonly mayCancel: boolean;
}

export function whatToDo(entry: Asked, wait: EntryWait): string {
  const { sequence, paymentId, subject, voided } = entry;
  switch (entry.state) {
    case "eligible":
    case "forwarding":
      return waiting(sequence, wait);
    case "processed":
      return voided === "declined" ? STANDS.void : "Nothing: the hub has taken it.";
    case "voided":
      if (voided === "declined") return STANDS.void;
      if (voided === "processed") return "Nothing: it was cancelled, and nothing is charged.";
      return `It was cancelled here, and the hub has yet to confirm that: tillway queue show ${paymentId} tells when it has.`;
    case "declined":
    case "expired": {
      if (subject === "reversal" || subject === "void") return STANDS[subject];
      const why = entry.state === "expired" ? "It came too late to be authorised" : "The hub refused it for good";
      return `${why}: ${REFUSED[subject]}.`;
    }
    case "quarantined": {
      const orCancel = entry.mayCancel ? `, or end it by tillway queue cancel ${sequence}` : "";
      return `The hub set it aside: mend the cause, then tillway queue retry ${sequence}${orCancel}.`;
    }
  }
}

/** What it means for the customer that the hub does not take it. */
const REFUSED: Readonly<Record<Operation, string>> = {
  purchase: "no money comes of it, so ask the customer for another payment",
  "pre-authorisation": "nothing is held, so ask the customer for another payment",
  completion: "no money comes of it, so ask the customer for another payment",
  tip: "no tip comes of it, and the sale stands as it was",
  refund: "the customer got nothing back, so give the money back another way",
};

/** What was to be taken back was not. */
const STANDS = {
  reversal:
    "The hub had taken the payment for good: it stands there, though it was not approved here, so have the hub's operator look at it.",
  void: "The hub had taken the payment before it was cancelled: the customer is charged, so refund it.",
} as const;

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
