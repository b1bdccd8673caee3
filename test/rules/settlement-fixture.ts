/** A hub with its default merchant, and the words to sell, refund, tip, cut over and settle at it. */
import type { TerminalId } from "../../base/ids.ts";
import type { Merchant, Site } from "../../hub/core/settlement/place-store.ts";
import { USUAL_TERMS } from "../../hub/core/settlement/trade-terms.ts";
import type { Within } from "../../hub/store/store.ts";
import type { EntryOf } from "../../wire/journal-entry.ts";
import { EUR, enrolTerminal, type FakeTerminal, type HubFixture, hubFixture, seededRandom } from "./hub-fixture.ts";

export const DE_ACCOUNT = { iban: "DE89370400440532013000", bic: "COBADEFFXXX" };
export const GB_ACCOUNT = { iban: "GB29NWBK60161331926819", bic: "NWBKGB2L" };
export const PAYER = { name: "The acquirer", ...GB_ACCOUNT };

export const eur = (minor: bigint) => ({ minor: minor.toString(), currency: EUR });

export type SettlementShop = Awaited<ReturnType<typeof settlementShop>>;

export async function settlementShop(options: Parameters<typeof hubFixture>[0] = {}) {
  const fixture = await hubFixture({ balanceMinor: 100_000n, ...options });
  const { hub } = fixture;
  const change = <T>(work: (within: Within) => Promise<T>): Promise<T> => hub.store.transaction(work);
  return Object.assign(fixture, {
    change,
    another: (terminalId: string): Promise<FakeTerminal> => anotherTerminal(fixture, terminalId),
    /** Approved offline, and told at once. */
    sell: (paymentId: string, minor: bigint, terminal = fixture.terminal, changes: Partial<EntryOf<"decision">> = {}) =>
      terminal.tell(terminal.advice(paymentId, { amount: eur(minor), ...changes })),
    refund: (paymentId: string, originalPaymentId: string, minor: bigint, terminal = fixture.terminal) =>
      follow(terminal, { kind: "refund", paymentId, originalPaymentId, minor }),
    tip: (paymentId: string, originalPaymentId: string, minor: bigint, terminal = fixture.terminal) =>
      follow(terminal, { kind: "tip", paymentId, originalPaymentId, minor }),
    balance: async (id: string): Promise<bigint> => {
      const account = await hub.store.read((reading) => hub.ledger.account(reading, id));
      return (account?.creditsPosted ?? 0n) - (account?.debitsPosted ?? 0n);
    },
    merchant: (merchant: Partial<Merchant> & { readonly id: string }) =>
      change((within) =>
        hub.settlement.putMerchant(within, {
          name: merchant.id,
          fees: { standard: { basisPoints: 0, fixedMinor: 0 } },
          trade: USUAL_TERMS,
          ...merchant,
        }),
      ),
    site: (site: Partial<Site> & { readonly id: string; readonly merchantId: string }) =>
      change((within) => hub.settlement.putSite(within, { name: site.id, timeZone: "UTC", cutover: "00:00", ...site })),
    assign: (terminalId: string, siteId: string) =>
      change((within) => hub.settlement.assign(within, terminalId, siteId)),
    cutover: async (siteId = "shop") => {
      const closed = await change((within) => hub.settlement.cutover(within, siteId));
      if (!closed) throw new Error(`no site ${siteId}`);
      return closed;
    },
    settle: async (batch: number) => {
      const settled = await change((within) => hub.settlement.settle(within, batch));
      if (!settled.ok) throw new Error(settled.error);
      return settled.value;
    },
  });
}

const anotherTerminal = ({ hub, clock }: HubFixture, terminalId: string): Promise<FakeTerminal> =>
  enrolTerminal({ hub, clock, random: seededRandom(terminalId), terminalId: terminalId as TerminalId });

interface Following {
  readonly kind: "refund" | "tip";
  readonly paymentId: string;
  readonly originalPaymentId: string;
  readonly minor: bigint;
}

/** Asked for and, where it was approved, confirmed. */
async function follow(terminal: FakeTerminal, { kind, paymentId, originalPaymentId, minor }: Following) {
  const amount = eur(minor);
  const original = originalPaymentId as NonNullable<EntryOf<"intent">["originalPaymentId"]>;
  const answer = await terminal.ask(terminal.request(paymentId, { kind, amount, originalPaymentId: original }));
  if (answer.outcome === "approved") {
    const decision = terminal.decision(paymentId, { operation: kind, mode: "online", amount, attempts: [1] });
    await terminal.tell(terminal.entry(decision));
  }
  return answer;
}
