/** A customer's phone at a hub in memory, with nothing but the hub's own door between them, and tills that take its codes. */
import { present } from "../../base/assert.ts";
import { newMessageId, type RandomBytes, type TerminalId } from "../../base/ids.ts";
import { parsePreAuthorisedCode } from "../../protocols/codes/own-codes.ts";
import { Phone } from "../../sim/phone/phone.ts";
import type { AuthorisationRequest, PreAuthorisedCode } from "../../wire/authorisation.ts";
import { newSigningKeys, publicKeyText, type Signed } from "../../wire/signing.ts";
import { EUR, enrolTerminal, type HubFixture, hubFixture, seededRandom } from "./hub-fixture.ts";
import { askOperator } from "./operator.ts";

export interface PhoneFixture {
  readonly phone: Phone;
  /** What the phone sent, newest last. */
  readonly sent: Signed[];
  /** The next answers of the hub are lost on their way. */
  losing: boolean;
}

const CLAIM_MS = 3_600_000;

export async function enrolPhone(
  { hub, clock, customer }: HubFixture,
  { userId = "anna", random = seededRandom(userId) }: { userId?: string; random?: RandomBytes } = {},
): Promise<PhoneFixture> {
  const keys = newSigningKeys();
  const enrolled = await hub.store.transaction(async (within) => {
    const claim = await hub.payers.createClaim(within, { userId, accountId: customer, validMs: CLAIM_MS });
    return await hub.payers.enrol(within, { ...claim, publicKey: publicKeyText(keys.publicKey) });
  });
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
export async function counter(options: Parameters<typeof hubFixture>[0] = {}) {
  const fixture = await hubFixture(options);
  const { hub, terminal, clock, customer, merchant } = fixture;
  const anna = await enrolPhone(fixture);
  const other = await enrolTerminal({ hub, clock, random: seededRandom("other"), terminalId: "T2" as TerminalId });
  const pay = (
    txnId: string,
    code: PreAuthorisedCode,
    {
      minor = 3_200,
      at = terminal,
      ...changes
    }: Partial<AuthorisationRequest> & { minor?: number; at?: typeof other } = {},
  ) => at.ask(at.request(txnId, { code, amount: eur(minor), ...changes }));
  const grants = async () => {
    const shown = await askOperator(hub, "GET /v1/pre-authorised-code/grants");
    return (shown as { grants: readonly Grant[] }).grants;
  };
  const revoke = (userId: string) => askOperator(hub, "POST /v1/pre-authorised-code/revoke", { userId });
  const statuses = async () => (await grants()).map(({ status }) => status);
  const account = (id: string) => hub.store.read((reading) => hub.ledger.account(reading, id));
  const transfersUnder = (prefix: string) =>
    hub.store.read((reading) => hub.ledger.transfersUnder(reading, prefix, 200));
  const balance = async () => {
    const { debitsPending: held, debitsPosted: posted } = present(await account(customer), "his account");
    return { held, posted };
  };
  const setStatus = (phone: Phone, status: "active" | "blocked") =>
    hub.store.transaction((within) => hub.payers.setStatus(within, phone.identity.deviceId, status));
  return {
    hub,
    terminal,
    clock,
    customer,
    merchant,
    dump: () => fixture.dump(),
    fixture,
    ...anna,
    other,
    pay,
    revoke,
    grants,
    statuses,
    account,
    transfersUnder,
    balance,
    setStatus,
  };
}
export type Counter = Awaited<ReturnType<typeof counter>>;

interface Grant {
  readonly grantId: string;
  readonly status: string;
  readonly txnId?: string;
  readonly wrongCodes: number;
  readonly userId: string;
}

/** A code that the phone has registered, as a scanner reads it. */
export async function registered(at: Counter, capMinor?: string): Promise<PreAuthorisedCode> {
  await at.phone.register(capMinor === undefined ? {} : { capMinor });
  const shown = at.phone.usable().at(-1);
  if (!shown) throw new Error("the phone shows nothing");
  return scan(shown.text);
}
