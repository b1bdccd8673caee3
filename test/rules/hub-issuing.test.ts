/** The hub as issuer: cryptograms of its own cards, below its gateways. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../base/bytes.ts";
import type { TerminalId } from "../../base/ids.ts";
import { currencyOf, money } from "../../base/money.ts";
import type { CardRange } from "../../hub/core/authorisation/index.ts";
import { decodeTlv, encodeTlv } from "../../protocols/emv/ber-tlv.ts";
import type { AuthorisationRequest } from "../../wire/authorisation.ts";
import { EUR, enrolTerminal, type HubFixture, hubFixture, seededRandom, TEST_EXPIRY, TEST_PAN } from "./hub-fixture.ts";
import { cardFacts, iccData, iccDataOf, MASTER_KEY, type Objects, RANGE, SALE } from "./issuer-fixture.ts";

const issuer = (options: { balanceMinor?: bigint } = {}): Promise<HubFixture> =>
  hubFixture({ ...options, issuing: [RANGE] });
const ask = ({ terminal }: HubFixture, paymentId: string, changes: Partial<AuthorisationRequest>) =>
  terminal.ask(terminal.request(paymentId, changes));
async function stateOf({ hub }: HubFixture, paymentId: string) {
  const filter = { paymentId, afterNumber: 0, limit: 1 };
  const transactions = await hub.store.read((reading) => hub.authorisation.transactions(reading, filter));
  return transactions.at(0)?.payment.cryptogram;
}
const accountOf = ({ hub }: HubFixture, id: string) => hub.store.read((reading) => hub.ledger.account(reading, id));

interface Published {
  issuerMasterKey: string;
  transaction: { pan: string; values: Objects } & Record<"10" | "18", Record<"issuerData" | "arqc" | "arpc", string>>;
}
const published = JSON.parse(
  readFileSync(new URL("../vectors/emv/cryptogram.json", import.meta.url), "utf8"),
) as Published;

interface PublishedSale {
  readonly version: 10 | 18;
  readonly arpcMethod: 1 | 2;
  readonly balanceMinor: bigint;
}

/** The transaction of the published vectors, 40.00 in Canadian dollars, as an online request of a card of this hub. */
async function askPublished({ version, arpcMethod, balanceMinor }: PublishedSale) {
  const { issuerMasterKey, transaction } = published;
  const { pan } = transaction;
  const vector = transaction[version];
  const range: CardRange = {
    bin: "123456",
    issuerMasterKey: fromHex(issuerMasterKey),
    derivation: "B",
    cryptogramVersion: version,
    arpcMethod,
  };
  const { hub, terminal } = await hubFixture({ issuing: [range] });
  const customer = { pan, expiry: TEST_EXPIRY, balance: money(balanceMinor, "CAD") };
  await hub.store.transaction((within) => hub.authorisation.openAccount(within, customer));
  const data = iccDataOf({ ...transaction.values, "9F10": vector.issuerData, "9F26": vector.arqc, "9F27": "80" });
  const amount = { minor: "4000", currency: currencyOf("CAD") };
  const answer = await terminal.ask(
    terminal.request("sale-1", { amount, card: terminal.seal("sale-1", pan), iccData: data }),
  );
  return { answer, arpc: vector.arpc.toLowerCase() };
}

test("a published transaction of version 10 is approved, and its answer proves the issuer by method 1", async () => {
  const { answer, arpc } = await askPublished({ version: 10, arpcMethod: 1, balanceMinor: 5_000n });
  expect(answer).toMatchObject({ outcome: "approved", issuerAuthenticationData: `${arpc}3030` });
});

test("a published transaction of version 18 without funds is declined, and the card is told so by method 2", async () => {
  const { answer, arpc } = await askPublished({ version: 18, arpcMethod: 2, balanceMinor: 0n });
  expect(answer).toMatchObject({
    outcome: "declined",
    responseCode: "51",
    issuerAuthenticationData: `${arpc}00000000`,
  });
});

test("any altered bit of DE 55 that the cryptogram covers is declined with 05, and the card gets no answer", async () => {
  const fixture = await issuer();
  for (const tag of [...Object.keys(SALE), "9F36", "9F10", "9F26"]) {
    const value = valueIn(iccData(7), tag);
    const altered = toHex(value.with(value.length - 1, (value.at(-1) ?? 0) ^ 1));
    const answer = await ask(fixture, `sale-${tag}`, { iccData: iccData(7, "ARQC", { [tag]: altered }) });
    expect(answer, tag).toMatchObject({ outcome: "declined", responseCode: "05", reason: "E_DENIED" });
    expect(answer.issuerAuthenticationData, tag).toBeUndefined();
    expect(await stateOf(fixture, `sale-${tag}`)).toBe("failed");
  }
  expect((await accountOf(fixture, fixture.customer))?.debitsPending).toBe(0n);
});

test("a right cryptogram for another amount, currency or kind of answer than the request's is declined", async () => {
  const fixture = await issuer();
  const denied = { outcome: "declined", responseCode: "05", reason: "E_DENIED" };
  const more = { minor: "9000", currency: EUR };
  expect(await ask(fixture, "more", { iccData: iccData(1), amount: more })).toMatchObject({
    ...denied,
    detail: expect.stringContaining("amount"),
  });
  const dollars = { minor: "1000", currency: currencyOf("USD") };
  expect(await ask(fixture, "dollars", { iccData: iccData(2), amount: dollars })).toMatchObject({
    ...denied,
    detail: expect.stringContaining("currency"),
  });
  expect(await ask(fixture, "refused", { iccData: iccData(3, "AAC") })).toMatchObject(denied);
});

test("a request without a cryptogram, or without one of its fields, is a format error that names it", async () => {
  const fixture = await issuer();
  const refused = (detail: RegExp) => ({
    responseCode: "30",
    reason: "E_FORMAT",
    detail: expect.stringMatching(detail),
  });
  expect(await ask(fixture, "none", {})).toMatchObject(refused(/9F27/));
  expect(await ask(fixture, "broken", { iccData: "9f26ff00" })).toMatchObject(refused(/BER-TLV/));
  for (const tag of [...Object.keys(SALE), "9F36", "9F10", "9F26", "9F27"]) {
    const left = withoutTag(iccData(7), tag);
    expect(await ask(fixture, `no-${tag}`, { iccData: left })).toMatchObject(refused(new RegExp(tag)));
  }
});

test("a cryptogram that the card gave for another payment is declined, at any terminal, and its own repeats are not", async () => {
  const fixture = await issuer();
  const first = fixture.terminal.request("sale-1", { iccData: iccData(7) });
  const answer = await fixture.terminal.ask(first);
  expect(answer.outcome).toBe("approved");
  expect(await fixture.terminal.ask(first)).toMatchObject({
    outcome: "approved",
    issuerAuthenticationData: answer.issuerAuthenticationData,
  });
  expect((await ask(fixture, "sale-1", { attempt: 2, iccData: iccData(7) })).outcome).toBe("approved");
  const { hub, clock } = fixture;
  const other = await enrolTerminal({ hub, clock, random: seededRandom("T2"), terminalId: "T2" as TerminalId });
  expect(await other.ask(other.request("sale-2", { iccData: iccData(7) }))).toMatchObject({
    outcome: "declined",
    responseCode: "05",
    reason: "E_DENIED",
    detail: expect.stringContaining("another payment"),
  });
  expect((await ask(fixture, "sale-3", { iccData: iccData(8) })).outcome).toBe("approved");
});

test("RM16 an offline sale that is told late does not make its card's later online sales repeats", async () => {
  const fixture = await issuer();
  const { terminal } = fixture;
  expect((await ask(fixture, "online", { iccData: iccData(9) })).outcome).toBe("approved");
  const late = terminal.advice("offline", { card: cardFacts(iccData(8, "TC")) });
  expect(await terminal.tell(late)).toMatchObject([{ status: "processed" }]);
  expect((await ask(fixture, "next", { iccData: iccData(10) })).outcome).toBe("approved");
  expect(await ask(fixture, "again", { iccData: iccData(8) })).toMatchObject({
    outcome: "declined",
    reason: "E_DENIED",
  });
});

test("RM16 an offline sale is posted whatever its cryptogram says; that it failed is kept and counted", async () => {
  const fixture = await issuer();
  const { terminal, hub } = fixture;
  const wrong = { "9F26": "0000000000000000" };
  const received = await terminal.tell(
    terminal.advice("right", { card: cardFacts(iccData(1, "TC")) }),
    terminal.advice("wrong", { card: cardFacts(iccData(2, "TC", wrong)) }),
    terminal.advice("asked-only", { card: cardFacts(iccData(3, "ARQC")) }),
    terminal.advice("none"),
  );
  expect(received.map(({ status }) => status)).toEqual(["processed", "processed", "processed", "processed"]);
  expect((await accountOf(fixture, fixture.merchant))?.creditsPosted).toBe(4_000n);
  expect(await stateOf(fixture, "right")).toBe("held");
  for (const id of ["wrong", "asked-only", "none"]) expect(await stateOf(fixture, id)).toBe("failed");
  const metrics = await hub.metrics.text();
  expect(metrics).toContain('tillway_hub_cryptograms_total{type="TC",result="held"} 1');
  expect(metrics).toContain('tillway_hub_cryptograms_total{type="TC",result="wrong"} 2');
  expect(metrics).toContain('tillway_hub_cryptograms_total{type="TC",result="incomplete"} 1');
});

test("a card of another issuer pays without that check, and of two ranges the narrower counts", async () => {
  const elsewhere = await hubFixture({ issuing: [{ ...RANGE, bin: "476173" }] });
  const answer = await ask(elsewhere, "sale-1", {});
  expect(answer.outcome).toBe("approved");
  expect(answer.issuerAuthenticationData).toBeUndefined();
  expect(await stateOf(elsewhere, "sale-1")).toBeUndefined();
  const wide = { ...RANGE, bin: "9999", issuerMasterKey: new Uint8Array(16).fill(7) };
  const both = await hubFixture({ issuing: [wide, RANGE] });
  expect((await ask(both, "sale-1", { iccData: iccData(1) })).outcome).toBe("approved");
});

test("RM5 no key and no card number of an issued card reaches the database", async () => {
  const fixture = await issuer();
  await ask(fixture, "sale-1", { iccData: iccData(1) });
  const dump = await fixture.dump();
  for (const secret of [TEST_PAN, toHex(MASTER_KEY), toHex(RANGE.issuerMasterKey)]) expect(dump).not.toContain(secret);
});

function valueIn(data: string, tag: string): Uint8Array {
  const found = decodeTlv(fromHex(data)).find((object) => object.tag === Number.parseInt(tag, 16));
  if (!found || !("value" in found)) throw new Error(`no ${tag}`);
  return found.value;
}

const withoutTag = (data: string, tag: string): string =>
  toHex(encodeTlv(decodeTlv(fromHex(data)).filter((object) => object.tag !== Number.parseInt(tag, 16))));
