/** Whatever may go wrong in a simulated shop, by name, each with the counts of which any one says that it was hit. */
import type { CountsTable } from "../../sim/world/counts.ts";

export const CLASS_COUNTS = {
  loss: ["network.lost"],
  delay: ["network.delayed"],
  repeat: ["network.repeated"],
  reorder: ["network.reordered"],
  corruption: ["network.corrupted"],
  cut: ["network.cut"],
  "half-open": ["network.half-open"],
  "hub-power-cut": ["hub.power-cut"],
  "hub-killed": ["hub.killed"],
  "terminal-power-cut": ["terminal.power-cut"],
  "terminal-killed": ["terminal.killed"],
  "crash-in-call": ["disk.crash-in-call"],
  "crash-after-send": ["terminal.crash-after-send"],
  "disk-error": [
    "disk.read-error",
    "disk.write-error",
    "disk.short-write",
    "disk.failed-sync-persisted",
    "disk.failed-sync-pending",
    "disk.failed-sync-forgotten",
  ],
  "disk-full": ["disk.full"],
  "clock-step": ["clock.step"],
  "clock-drift": ["clock.drift"],
  "old-copy": ["terminal.old-copy"],
  "hub-old-copy": ["hub.old-copy"],
  "cloned-terminal": ["terminal.cloned"],
  "cloned-phone": ["phone.cloned"],
  printer: ["printer.paper-out", "printer.answer-lost"],
  "pulled-card": ["card.pulled"],
  "reader-hiccup": ["card.answer-lost"],
  "answers-lost": ["terminal.answers-lost"],
  broker: ["broker.acknowledged-unseen"],
  revoked: ["terminal.revoked"],
  "bad-entry": ["hub.bad-entry"],
  "new-disk": ["terminal.new-disk"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type FaultClass = keyof typeof CLASS_COUNTS;

export const FAULT_CLASSES = Object.keys(CLASS_COUNTS) as readonly FaultClass[];

/** How often each class was hit, in the order of the classes. */
export function classHits(counts: CountsTable): readonly { readonly name: FaultClass; readonly hits: number }[] {
  return FAULT_CLASSES.map((name) => ({
    name,
    hits: CLASS_COUNTS[name].reduce((sum, count) => sum + (counts[count] ?? 0), 0),
  }));
}
