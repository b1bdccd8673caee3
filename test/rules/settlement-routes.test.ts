/** Settlement as an operator does it, over HTTPS: from a new merchant to the file for the bank. */
import { expect, test } from "vitest";
import { newMessageId } from "../../base/ids.ts";
import type { UpEnvelope } from "../../wire/envelope.ts";
import type { SummaryEntry } from "../../wire/reconciliation.ts";
import { enrolTerminal, type FakeTerminal, seededRandom } from "./hub-fixture.ts";
import { BOOTSTRAP_TOKEN, type OperatorHub, operatorHub } from "./operators-fixture.ts";
import { DE_ACCOUNT, eur, GB_ACCOUNT, PAYER } from "./settlement-fixture.ts";

const chance = seededRandom("keys");
/** Its answers are without their headers: two that are the same may lie on both sides of a second. */
const asker = (hub: OperatorHub, bearer = BOOTSTRAP_TOKEN) => {
  const ask = async (...asked: Parameters<OperatorHub["ask"]>) => {
    const { status, body } = await hub.ask(...asked);
    return { status, body };
  };
  return {
    get: (url: string) => ask("GET", url, { bearer }),
    post: (url: string, body?: unknown, key = newMessageId(chance)) =>
      ask("POST", url, { bearer, key, ...(body === undefined ? {} : { body }) }),
  };
};

const shopWithSales = async () => {
  const hub = await operatorHub({ payer: PAYER, balanceMinor: 100_000n });
  const admin = asker(hub);
  await admin.post("/v1/merchants", {
    ...{ id: "bakery", name: "The bakery", account: DE_ACCOUNT, category: "5462" },
    fees: { standard: { basisPoints: 100, fixedMinor: 5 }, chip: { basisPoints: 50, fixedMinor: 0 } },
  });
  const site = { id: "market", merchantId: "bakery", name: "Market", timeZone: "Europe/Berlin", cutover: "04:00" };
  await admin.post("/v1/sites", site);
  const { hub: core, clock } = hub;
  const terminalId = "T2" as FakeTerminal["terminalId"];
  const terminal = await enrolTerminal({ hub: core, clock, random: seededRandom("T2"), terminalId });
  expect(await admin.post("/v1/sites/market/terminals", { terminalId: "T2" })).toMatchObject({ status: 200 });
  const sold = [terminal.advice("sale-1", { amount: eur(1_000n) }), terminal.advice("sale-2", { amount: eur(3_000n) })];
  await terminal.tell(...sold);
  return { hub, admin, terminal, sold };
};

test("from a merchant to money paid out, each step shown as it was done", async () => {
  const { hub, admin } = await shopWithSales();
  const cut = await admin.post("/v1/sites/market/cutover");
  expect(cut).toMatchObject({ status: 200, body: { closed: { state: "closed", businessDate: "2026-01-05" } } });
  const { number } = cut.body["closed"] as { number: number };
  const settled = await admin.post(`/v1/batches/${number}/settle`, undefined, "settling-once");
  expect(settled).toMatchObject({
    status: 200,
    body: { merchantId: "bakery", settlements: [{ netMinor: "3950", feesMinor: "50", payableMinor: "3950" }] },
  });
  expect(await admin.post(`/v1/batches/${number}/settle`, undefined, "settling-once")).toMatchObject(settled);
  expect(await admin.post(`/v1/batches/${number}/settle`)).toMatchObject({ status: 200, body: settled.body });
  const made = await admin.post("/v1/payouts", { executionDate: "2026-01-06" }, "paying-once");
  expect(made).toMatchObject({
    status: 201,
    body: { sumMinor: "3950", lines: [{ merchantId: "bakery" }], more: false },
  });
  expect(await admin.post("/v1/payouts", { executionDate: "2026-01-06" }, "paying-once")).toMatchObject({
    status: 201,
    body: made.body,
  });
  expect(await admin.post("/v1/payouts", { executionDate: "2026-01-06" })).toMatchObject({ status: 409 });
  const file = `/v1/payouts/${String(made.body["messageId"])}/file`;
  const xml = await admin.get(file);
  expect(xml.body["text"]).toContain("<CtrlSum>39.50</CtrlSum>");
  expect(await admin.get(file)).toEqual(expect.objectContaining({ body: xml.body }));
  expect((await admin.get(`${file}?format=csv`)).body["text"]).toContain("39.50,EUR,2026-01-06");
  expect(await admin.get("/v1/payouts")).toMatchObject({ body: { payouts: [{ payments: 1, sumMinor: "3950" }] } });
  expect(await admin.get("/v1/statements?merchantId=bakery&day=2026-01-06")).toMatchObject({
    status: 200,
    body: { statements: [{ openingMinor: "3950", payouts: { count: 1, minor: "3950" }, closingMinor: "0" }] },
  });
  expect(await admin.get("/v1/sites")).toMatchObject({
    body: {
      sites: [
        { id: "market", terminals: ["T2"] },
        { id: "shop", terminals: [] },
      ],
    },
  });
  expect(await admin.get("/v1/merchants")).toMatchObject({ body: { merchants: [{ id: "bakery" }, { id: "shop" }] } });
  expect((await hub.entries()).map(({ action }) => action)).toContain("POST /v1/payouts");
});

test("every closed batch is settled in few requests, however many sites close one each day", async () => {
  const { hub, admin } = await shopWithSales();
  const { settlement, store } = hub.hub;
  await store.transaction(async (within) => {
    for (let day = 0; day < 250; day += 1) await settlement.cutover(within, "market");
  });
  const settled: { batch: number; settlements: { payableMinor: string }[] }[] = [];
  for (const more of [true, true, false]) {
    const { status, body } = await admin.post("/v1/batches/settle");
    expect({ status, more: body["more"] }).toEqual({ status: 200, more });
    settled.push(...(body["settled"] as typeof settled));
  }
  expect(settled).toHaveLength(250);
  expect(settled.map(({ batch }) => batch)).toEqual(settled.map(({ batch }) => batch).toSorted((a, b) => a - b));
  expect(settled.flatMap(({ settlements }) => settlements.map(({ payableMinor }) => payableMinor))).toEqual(["3950"]);
  expect(await admin.get("/v1/batches?state=closed")).toMatchObject({ body: { batches: [] } });
  expect(await admin.post("/v1/batches/settle")).toMatchObject({ status: 200, body: { settled: [], more: false } });
  const audited = (await hub.entries()).filter(({ action }) => action === "POST /v1/batches/settle");
  expect(audited.map(({ named }) => named)).toContainEqual({ "answer.through": String(settled.at(-1)?.batch) });
});

test("a chargeback and its second presentment, each once", async () => {
  const { admin } = await shopWithSales();
  const body = { id: "case-7", terminalId: "T2", paymentId: "sale-1", reasonCode: "10.4", amount: eur(600n) };
  const charged = await admin.post("/v1/chargebacks", body, "charging-once");
  expect(charged).toMatchObject({ status: 201, body: { state: "charged-back", merchantId: "bakery" } });
  expect(await admin.post("/v1/chargebacks", body, "charging-once")).toMatchObject(charged);
  expect(await admin.post("/v1/chargebacks", body)).toMatchObject(charged);
  const more = { ...body, id: "case-8", amount: eur(401n) };
  expect(await admin.post("/v1/chargebacks", more)).toMatchObject({ status: 409, body: { code: "E_LIMIT" } });
  expect(await admin.post("/v1/chargebacks", { ...more, paymentId: "none" })).toMatchObject({ status: 404 });
  expect(await admin.post("/v1/chargebacks", { ...body, reasonCode: "1" })).toMatchObject({
    status: 409,
    body: { code: "E_CONFLICT" },
  });
  const represented = await admin.post("/v1/chargebacks/case-7/represent");
  expect(represented).toMatchObject({ status: 200, body: { state: "represented", uncoveredMinor: "0" } });
  expect(await admin.post("/v1/chargebacks/case-7/represent")).toMatchObject(represented);
  expect(await admin.post("/v1/chargebacks/nowhere/represent")).toMatchObject({ status: 404 });
  expect(await admin.get("/v1/chargebacks")).toMatchObject({ body: { chargebacks: [{ id: "case-7" }] } });
});

test("RM17 a batch says of each terminal whether its day agrees, and names each difference", async () => {
  const { hub, admin, terminal, sold } = await shopWithSales();
  const open = (await admin.get("/v1/batches?siteId=market")).body["batches"] as { number: number }[];
  const shown = async () => (await admin.get(`/v1/batches/${open[0]?.number ?? 0}`)).body["terminals"];
  const entry = (at: number): SummaryEntry => {
    const { sequence, forward = 0, hash, text } = sold[at] ?? terminal.advice("none");
    const { paymentId, amount } = JSON.parse(text) as ReturnType<FakeTerminal["decision"]>;
    const { minor, currency } = amount;
    return { ...{ sequence, forward, hash, paymentId, minor, currency }, kind: "decision", state: "processed" };
  };
  const summary = (entries: SummaryEntry[], mark: string): UpEnvelope => ({
    ...terminal.head(),
    type: "day.summary",
    body: {
      ...{ summaryId: mark.repeat(24), businessDate: "2026-01-05", epoch: terminal.epoch, part: 1, parts: 1, entries },
      ...{ from: "2026-01-05T00:00:00.000Z", to: "2026-01-06T00:00:00.000Z" },
    },
  });
  expect(await shown()).toMatchObject([
    { terminalId: "T2", businessDate: "2026-01-05", agreement: "not-compared", purchases: { count: 2, minor: "4000" } },
  ]);
  await hub.hub.receive(summary([entry(0)], "a"));
  expect(await shown()).toMatchObject([
    {
      agreement: "differs",
      report: { agreed: 1, differences: [{ what: "missing-at-terminal", paymentId: "sale-2" }] },
    },
  ]);
  await hub.hub.receive(summary([entry(0), entry(1)], "b"));
  expect(await shown()).toMatchObject([{ agreement: "agreed", report: { agreed: 2, differences: [] } }]);
});

test("what is not right is refused with the field that is wrong, and by whom it may not be done", async () => {
  const { hub, admin } = await shopWithSales();
  const merchant = { id: "kiosk", name: "Kiosk" };
  const site = { id: "corner", merchantId: "bakery", name: "Corner" };
  for (const [url, body, path] of [
    ["/v1/merchants", { ...merchant, account: { ...GB_ACCOUNT, iban: "GB29NWBK60161331926818" } }, "account.iban"],
    ["/v1/merchants", { ...merchant, account: { ...GB_ACCOUNT, bic: "X" } }, "account.bic"],
    ["/v1/merchants", { ...merchant, name: "=1+1" }, "name"],
    ["/v1/merchants", { ...merchant, name: "two\nlines" }, "name"],
    ["/v1/merchants", { ...merchant, id: "Kiosk/1" }, "id"],
    ["/v1/merchants", { ...merchant, fees: { standard: { basisPoints: 10_001, fixedMinor: 0 } } }, "fees"],
    ["/v1/sites", { ...site, timeZone: "Mars/Olympus" }, "timeZone"],
    ["/v1/sites", { ...site, cutover: "24:00" }, "cutover"],
    ["/v1/sites", { ...site, extra: 1 }, "extra"],
    ["/v1/payouts", { executionDate: "soon" }, "executionDate"],
  ] as const) {
    const { status, body: answer } = await admin.post(url, body);
    expect({ url, status, path: String(answer["path"]).split(".").slice(0, path.split(".").length).join(".") }).toEqual(
      {
        ...{ url, status: 400, path },
      },
    );
  }
  expect(await admin.post("/v1/sites", { ...site, merchantId: "nobody" })).toMatchObject({ status: 404 });
  expect(await admin.post("/v1/sites", { ...site, id: "shop" })).toMatchObject({ status: 409, body: { path: "id" } });
  expect(await admin.post("/v1/sites/nowhere/cutover")).toMatchObject({ status: 404 });
  expect(await admin.post("/v1/sites/shop/terminals", { terminalId: "T2" })).toMatchObject({ status: 409 });
  expect(await admin.post("/v1/batches/1/settle")).toMatchObject({ status: 409, body: { code: "E_STATE" } });
  expect(await admin.get("/v1/batches/99")).toMatchObject({ status: 404 });
  const operator = asker(hub, await hub.person("olga", "operator"));
  expect(await operator.post("/v1/merchants", merchant)).toMatchObject({ status: 403 });
  const viewer = asker(hub, await hub.person("vera", "viewer"));
  for (const url of ["/v1/sites/shop/cutover", "/v1/batches/1/settle", "/v1/payouts", "/v1/chargebacks"])
    expect(await viewer.post(url, {})).toMatchObject({ status: 403 });
  expect(await viewer.get("/v1/batches")).toMatchObject({ status: 200 });
});
