/**
 * What the journal keeps of each simulated card in each course of a sale, over the whole agent: the hub approves, declines,
 * stays silent, or is away from the beginning. By RM1 and RM3: a request that may have left is reversed unless the sale was
 * approved or the hub itself declined; and nobody approves but the card.
 */
import { describe, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { CARD_PROFILES } from "../../sim/card/profiles.ts";
import { Till } from "./till.ts";

const COURSES = ["hub approves", "hub declines", "hub silent", "hub away"] as const;
type Course = (typeof COURSES)[number];
type Row = readonly [approve: string, decline: string, silent: string, away: string];

const ASKED = "intent, online-requested";
const UNKNOWN = `${ASKED}, online-unknown`;
const APPROVED = `${ASKED}, decision approved online TC`;
const DECLINED = `${ASKED}, decision declined online AAC`;
const always = (entry: string): Row => [entry, entry, entry, entry];

/** The card approves without the hub. */
const APPROVES: Row = [
  APPROVED,
  DECLINED,
  `${UNKNOWN}, decision approved offline TC`,
  "intent, decision approved offline TC",
];
/** The card, or the action codes, decline without the hub. */
const NEEDS_ISSUER: Row = [
  APPROVED,
  DECLINED,
  `${UNKNOWN}, decision declined offline AAC, reversal`,
  "intent, decision declined offline AAC",
];
/** The card's first cryptogram is the last. */
const DECLINES = always("intent, decision declined offline AAC");
const UNUSABLE = always("intent, decision aborted offline");

const EXPECTED: Readonly<Record<string, Row>> = {
  standard: APPROVES,
  cashback: APPROVES,
  // Without certificates it is not authenticated, for which the terminal's own action codes want the issuer.
  second: NEEDS_ISSUER,
  "online-only": NEEDS_ISSUER,
  declining: DECLINES,
  "offline-only": DECLINES,
  sda: APPROVES,
  dda: APPROVES,
  "dda-default-ddol": APPROVES,
  // It insists on the issuer's own word, which this hub does not carry: the approval is undone.
  cda: [`${ASKED}, decision declined online AAC, reversal`, DECLINED, APPROVES[2], APPROVES[3]],
  "common-core": APPROVES,
  expired: NEEDS_ISSUER,
  "not-yet-effective": NEEDS_ISSUER,
  blocked: UNUSABLE,
  "card-blocked": UNUSABLE,
  "revoked-issuer": NEEDS_ISSUER,
  "wrong-ca": NEEDS_ISSUER,
  // Nobody asks the cardholder here, and the application that wants no confirmation runs.
  "two-applications": APPROVES,
  scripts: APPROVES,
  velocity: APPROVES,
  "silent-counters": NEEDS_ISSUER,
  "tc-hash": APPROVES,
  "default-tdol": APPROVES,
  signature: APPROVES,
  // Neither a PIN nor a signature is taken.
  "pin-or-signature": NEEDS_ISSUER,
  "pin-only": NEEDS_ISSUER,
  cloned: DECLINES,
  "cloned-static": APPROVES,
  altered: NEEDS_ISSUER,
  "duplicate-object": UNUSABLE,
  "no-expiry": UNUSABLE,
  "certificate-format": NEEDS_ISSUER,
  "certificate-length": NEEDS_ISSUER,
  "wrong-length": UNUSABLE,
  "afl-length": UNUSABLE,
  "cryptogram-length": UNUSABLE,
  "out-of-turn": UNUSABLE,
  "more-than-asked": UNUSABLE,
};

/** What these do is the reader's matter: silence, and the time that an answer takes. */
const READERS_MATTER = ["mute", "slow"];

async function journalOf(name: string, course: Course): Promise<string> {
  await using till = new Till();
  till.slot.profile = name;
  till.hub.state = course === "hub away" ? "down" : "up";
  till.hub.answer = course === "hub declines" ? "decline" : course === "hub silent" ? "silence" : "approve";
  await till.sell("P-1");
  expect(till.fatal).toEqual([]);
  const entries = till.journal.entriesOf("P-1" as PaymentId).map(({ body }) => {
    if (body.kind !== "decision") return body.kind;
    return ["decision", body.outcome, body.mode, body.card?.cryptogramType].filter((word) => word).join(" ");
  });
  return entries.filter((entry) => !entry.startsWith("print") && !entry.startsWith("ticket")).join(", ");
}

test("the table has a row for every profile", () => {
  const named = CARD_PROFILES.map(({ name }) => name).filter((name) => !READERS_MATTER.includes(name));
  expect(Object.keys(EXPECTED).sort()).toEqual(named.sort());
});

describe.each(Object.entries(EXPECTED))("RM1 RM3 the journal of a sale with card %s", (name, row) => {
  test.each(COURSES.map((course, index) => [course, row[index]] as const))("%s", async (course, expected) => {
    expect(await journalOf(name, course)).toBe(expected);
  });
});
