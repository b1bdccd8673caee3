/** A customer's phone at a hub in memory, with nothing but the hub's own door between them, and tills that take its codes. */
import { newMessageId, type RandomBytes, type TerminalId } from "../../base/ids.ts";
import { parsePreAuthorisedCode } from "../../protocols/codes/own-codes.ts";
import { Phone } from "../../sim/phone/phone.ts";
import type { AuthorisationRequest, PreAuthorisedCode } from "../../wire/authorisation.ts";
import { newSigningKeys, publicKeyText, type Signed } from "../../wire/signing.ts";
import { EUR, enrolTerminal, type HubFixture, hubFixture, seededRandom } from "./hub-fixture.ts";

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

export const CODE_TTL_MS = 86_400_000;
export const eur = (minor: number) => ({ minor: String(minor), currency: EUR });

/** A hub, a customer with 100.00 and his phone, and what a till does with a code. */
export function counter(options: Parameters<typeof hubFixture>[0] = {}) {
  const fixture = hubFixture(options);
  const { hub, terminal, clock } = fixture;
  const anna = enrolPhone(fixture);
  const other = enrolTerminal({ hub, clock, random: seededRandom("other"), terminalId: "T2" as TerminalId });
  const pay = (
    txnId: string,
    code: PreAuthorisedCode,
    {
      minor = 3_200,
      at = terminal,
      ...changes
    }: Partial<AuthorisationRequest> & { minor?: number; at?: typeof other } = {},
  ) => at.ask(at.request(txnId, { code, amount: eur(minor), ...changes }));
  const grants = () =>
    hub.featureRoutes.find(({ path }) => path.endsWith("/grants"))?.handle({ body: {}, query: {} }) as {
      grants: readonly { grantId: string; status: string; txnId?: string; wrongCodes: number; userId: string }[];
    };
  const statuses = () => grants().grants.map(({ status }) => status);
  const balance = () => {
    const account = hub.ledger.account(fixture.customer);
    if (!account) throw new Error("no account");
    return { held: account.debitsPending, posted: account.debitsPosted };
  };
  return { ...fixture, fixture, ...anna, other, pay, grants, statuses, balance };
}
export type Counter = ReturnType<typeof counter>;

/** A code that the phone has registered, as a scanner reads it. */
export async function registered(at: Counter, capMinor?: string): Promise<PreAuthorisedCode> {
  await at.phone.register(capMinor === undefined ? {} : { capMinor });
  const shown = at.phone.usable().at(-1);
  if (!shown) throw new Error("the phone shows nothing");
  return scan(shown.text);
}
