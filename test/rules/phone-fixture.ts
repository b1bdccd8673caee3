/** A customer's phone at a hub in memory, with nothing but the hub's own door between them. */
import { newMessageId, type RandomBytes } from "../../base/ids.ts";
import { parsePreAuthorisedCode } from "../../protocols/codes/own-codes.ts";
import { Phone } from "../../sim/phone/phone.ts";
import type { PreAuthorisedCode } from "../../wire/authorisation.ts";
import { newSigningKeys, publicKeyText, type Signed } from "../../wire/signing.ts";
import { type HubFixture, seededRandom } from "./hub-fixture.ts";

export interface PhoneFixture {
  readonly phone: Phone;
  /** What the phone sent, newest last. */
  readonly sent: Signed[];
  /** The next answers of the hub are lost on their way. */
  losing: boolean;
}

const CLAIM_MS = 3_600_000;

export function enrolPhone(
  { hub, clock, customer }: HubFixture,
  { userId = "anna", random = seededRandom(userId) }: { userId?: string; random?: RandomBytes } = {},
): PhoneFixture {
  const claim = hub.payers.createClaim({ userId, accountId: customer, validMs: CLAIM_MS });
  const keys = newSigningKeys();
  const enrolled = hub.payers.enrol({ ...claim, publicKey: publicKeyText(keys.publicKey) });
  if (!enrolled.ok) throw new Error(enrolled.error.detail);
  const { deviceId, accountId } = enrolled.value;
  const fixture = { sent: [] as Signed[], losing: false };
  const phone = new Phone({
    keys,
    identity: { deviceId, userId, accountRef: accountId },
    clock,
    random,
    async transport(signed) {
      fixture.sent.push(signed);
      const answer = await hub.receivePhone(signed);
      if (fixture.losing) throw new Error("the answer was lost");
      return answer;
    },
  });
  return Object.assign(fixture, { phone });
}

/** What a scanner makes of the code that the phone shows. */
export function scan(text: string): PreAuthorisedCode {
  const parsed = parsePreAuthorisedCode(text);
  if (!parsed.ok) throw new Error(parsed.error.detail);
  const { userId, secureCode } = parsed.value;
  return { userId, secureCode };
}

/** A code that nobody registered. */
export const wrongCode = (userId: string, random: RandomBytes): PreAuthorisedCode => ({
  userId,
  secureCode: newMessageId(random)
    .toUpperCase()
    .replaceAll(/[0189]/g, "A")
    .padEnd(26, "A"),
});
