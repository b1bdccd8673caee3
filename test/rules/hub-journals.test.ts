/** What the hub finds wrong with terminals' journals, and what becomes of their entries: none lost, none doubled, each named. */
import Fastify, { type FastifyInstance } from "fastify";
import { describe, expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { FINDING_AFTER_MS, registerIngestRoutes } from "../../hub/core/ingest/index.ts";
import type { ForwardedEntry } from "../../wire/advice.ts";
import { type EntryOf, hashEntry } from "../../wire/journal-entry.ts";
import { breakSale, mendSale } from "./broken-sale.ts";
import { EUR, type HubFixture, hubFixture, only } from "./hub-fixture.ts";

const ALL = { afterNumber: 0, limit: 100 };
const findingsOf = ({ hub }: HubFixture) => hub.store.read((reading) => hub.ingest.findings.list(reading, ALL));
const asideOf = ({ hub }: HubFixture) => hub.store.read((reading) => hub.ingest.quarantine.list(reading, ALL));
const merchantOf = async ({ hub, merchant }: HubFixture) =>
  (await hub.store.read((reading) => hub.ledger.account(reading, merchant)))?.creditsPosted ?? 0n;
const close = ({ hub }: HubFixture, number: number, now: number) =>
  hub.store.transaction((within) => hub.ingest.findings.close(within, number, { ...PERSON, now }));
const PERSON = { by: "ann", why: "the box was found" };

describe("a fence", () => {
  test("keeps out the batch of an earlier drainer as a whole, and lets the newest go on", async () => {
    const fixture = await hubFixture();
    const { terminal, hub } = fixture;
    terminal.fence = 2;
    await terminal.tell(terminal.advice("sale-1"));
    const entry = terminal.advice("sale-2");
    terminal.fence = 1;
    const late = terminal.batch([entry]);
    await expect(hub.receive(late)).rejects.toMatchObject({ code: "fence.stale" });
    expect(await merchantOf(fixture)).toBe(1_000n);
    terminal.fence = 2;
    expect(await terminal.tell(entry)).toMatchObject([{ status: "processed" }]);
    terminal.fence = 3;
    expect(await terminal.tell(terminal.advice("sale-3"))).toMatchObject([{ status: "processed" }]);
    expect(await findingsOf(fixture)).toEqual([]);
  });

  test("is not asked of an older agent, until one with a fence has come", async () => {
    const { terminal, hub } = await hubFixture();
    expect(await terminal.tell(terminal.advice("sale-1"))).toMatchObject([{ status: "processed" }]);
    terminal.fence = 1;
    await terminal.tell(terminal.advice("sale-2"));
    terminal.fence = undefined;
    await expect(hub.receive(terminal.batch([terminal.advice("sale-3")]))).rejects.toMatchObject({
      code: "fence.stale",
    });
  });

  test("is of one epoch, and cannot be raised by a batch that the terminal did not sign", async () => {
    const { terminal, hub } = await hubFixture();
    terminal.fence = 5;
    const forged = terminal.batch([terminal.advice("sale-1")]);
    if (forged.type === "advice.batch") forged.body.fence = 9;
    await expect(hub.receive(forged)).rejects.toMatchObject({ code: "signature.invalid" });
    const earlier = terminal.twin();
    earlier.epoch = "00000000000000aa" as typeof earlier.epoch;
    earlier.fence = 1;
    expect(await earlier.tell(earlier.advice("old-1"))).toMatchObject([{ status: "processed" }]);
    expect(await terminal.tell(terminal.advice("sale-2"))).toMatchObject([{ status: "processed" }]);
  });

  test("that is stale and brings other entries than those held shows a second disk", async () => {
    const fixture = await hubFixture();
    const { terminal, hub } = fixture;
    terminal.fence = 1;
    const copy = terminal.copy();
    terminal.fence = 2;
    await terminal.tell(terminal.advice("sale-1"));
    await expect(hub.receive(copy.batch([copy.advice("other-1")]))).rejects.toMatchObject({ code: "fence.stale" });
    expect(await findingsOf(fixture)).toMatchObject([
      { kind: "fork", sequence: 1, detail: expect.stringContaining("T1") },
    ]);
    expect(await asideOf(fixture)).toEqual([]);
  });
});

describe("a gap", () => {
  test("is named once it lasts, not before, and closes itself when the entry comes", async () => {
    const fixture = await hubFixture();
    const { terminal, hub, clock } = fixture;
    const missing = terminal.advice("sale-1");
    await terminal.tell(terminal.advice("sale-2"), terminal.advice("sale-3"));
    await hub.expireHolds();
    await clock.advance(FINDING_AFTER_MS - 1);
    await hub.expireHolds();
    expect(await findingsOf(fixture)).toEqual([]);
    await clock.advance(1);
    await hub.expireHolds();
    await hub.expireHolds();
    expect(await findingsOf(fixture)).toMatchObject([{ kind: "gap", terminalId: "T1", sequence: 1, times: 2 }]);
    expect(await hub.metrics.text()).toContain("tillway_hub_open_findings 1\n");
    await terminal.tell(missing);
    expect(await findingsOf(fixture)).toMatchObject([
      { kind: "gap", closed: { by: "hub", why: "what was missing has come" } },
    ]);
    await hub.expireHolds();
    expect(await hub.store.read((reading) => hub.ingest.findings.countOpen(reading))).toBe(0);
  });

  test("is none where a number belongs to an entry that was set aside", async () => {
    const fixture = await hubFixture();
    const { terminal, hub, clock } = fixture;
    const bad = { ...terminal.advice("sale-1"), text: "{}" };
    await terminal.tell(bad, terminal.advice("sale-2"));
    await clock.advance(FINDING_AFTER_MS);
    await hub.expireHolds();
    expect(await findingsOf(fixture)).toEqual([]);
    expect(await hub.store.read((reading) => hub.ingest.watermark(reading, terminal))).toBe(2);
  });
});

describe("a copied disk", () => {
  test("is a fork while one side is alive, and a clone once both go on", async () => {
    const fixture = await hubFixture();
    const { terminal, clock } = fixture;
    await terminal.tell(terminal.advice("sale-1"));
    const copy = terminal.copy();
    await terminal.tell(terminal.advice("sale-2"));
    await clock.advance(1_000);
    expect(await copy.tell(copy.advice("other-2"))).toMatchObject([{ status: "quarantined", reason: "E_CONFLICT" }]);
    copy.kept(copy.decision("kept"));
    await clock.advance(1_000);
    expect(await copy.tell(copy.advice("other-3"))).toMatchObject([{ status: "processed" }]);
    expect(await findingsOf(fixture)).toMatchObject([{ kind: "fork", sequence: 2 }]);
    await clock.advance(1_000);
    terminal.kept(terminal.decision("kept"));
    await terminal.tell(terminal.advice("sale-3"));
    const [fork, clone] = await findingsOf(fixture);
    expect(fork).toMatchObject({ kind: "fork", times: 2 });
    expect(clone).toMatchObject({ kind: "clone", sequence: 4, detail: expect.stringContaining("T1") });
    expect(await merchantOf(fixture)).toBe(3_000n);
    expect(await asideOf(fixture)).toMatchObject([{ sequence: 2 }, { sequence: 4 }]);
  });

  test("is a clone when two heads of one length differ", async () => {
    const fixture = await hubFixture();
    const { terminal } = fixture;
    const copy = terminal.copy();
    terminal.kept(terminal.decision("kept"));
    copy.advice("other");
    await terminal.arrive();
    expect(await findingsOf(fixture)).toEqual([]);
    await copy.arrive();
    expect(await findingsOf(fixture)).toMatchObject([{ kind: "clone", sequence: 1 }]);
  });

  test("is a clone when its head is another entry than the one held there", async () => {
    const fixture = await hubFixture();
    const { terminal } = fixture;
    const copy = terminal.copy();
    await terminal.tell(terminal.advice("sale-1"));
    copy.advice("other");
    await copy.arrive();
    expect(await findingsOf(fixture)).toMatchObject([{ kind: "clone", sequence: 1 }]);
  });
});

describe("a disk restored from an older copy", () => {
  test("is named by the head that it shows, with what to do", async () => {
    const fixture = await hubFixture();
    const { terminal } = fixture;
    const copy = terminal.copy();
    await terminal.tell(terminal.advice("sale-1"), terminal.advice("sale-2"));
    await terminal.arrive();
    expect(await findingsOf(fixture)).toEqual([]);
    await copy.arrive();
    const [finding] = await findingsOf(fixture);
    expect(finding).toMatchObject({ kind: "restored", sequence: 0 });
    expect(finding?.detail).toContain(
      "terminal T1 says that its journal ends at entry 0, but it has been seen up to entry 2",
    );
  });

  test("is no finding any more when the newer head is seen again, and a clone when both take turns", async () => {
    const fixture = await hubFixture();
    const { terminal } = fixture;
    const copy = terminal.copy();
    await terminal.tell(terminal.advice("sale-1"));
    await copy.arrive();
    await terminal.arrive();
    expect(await findingsOf(fixture)).toMatchObject([{ kind: "restored", closed: { by: "hub" } }]);
    for (let turn = 0; turn < 3; turn += 1) {
      await copy.arrive();
      await terminal.arrive();
    }
    expect((await findingsOf(fixture)).filter(({ closed }) => !closed)).toMatchObject([{ kind: "clone" }]);
  });
});

test("an epoch that had been replaced and is back is named, until a person says that it is to stay", async () => {
  const fixture = await hubFixture();
  const { terminal, clock } = fixture;
  await terminal.arrive();
  const newer = terminal.twin();
  newer.epoch = "00000000000000bb" as typeof newer.epoch;
  await newer.arrive();
  await newer.arrive();
  expect(await findingsOf(fixture)).toEqual([]);
  await terminal.arrive();
  expect(await findingsOf(fixture)).toMatchObject([{ kind: "old-epoch", epoch: terminal.epoch }]);
  const [found] = await findingsOf(fixture);
  const closed = await close(fixture, found?.number ?? 0, clock.now());
  expect(closed).toMatchObject({ ok: true, value: { closed: PERSON } });
  await terminal.arrive();
  expect(await findingsOf(fixture)).toHaveLength(1);
  expect(await close(fixture, found?.number ?? 0, 0)).toEqual({ ok: false, error: "closed" });
  expect(await close(fixture, 77, 0)).toEqual({ ok: false, error: "unknown" });
});

describe("an entry that was set aside", () => {
  const decide = ({ hub, clock }: HubFixture, what: "accept" | "drop", number: number) =>
    hub.store.transaction((within) => hub.ingest.quarantine[what](within, number, { ...PERSON, now: clock.now() }));

  /** A fork: sale-1 is held, other-1 lies aside under its place. */
  async function forked() {
    const fixture = await hubFixture();
    const copy = fixture.terminal.copy();
    await fixture.terminal.tell(fixture.terminal.advice("sale-1"));
    const other = copy.advice("other-1");
    await copy.tell(other);
    return { fixture, copy, other };
  }

  test("of a fork is posted once when a person accepts it, to the customer's account, and its terminal is told", async () => {
    const { fixture, copy, other } = await forked();
    expect(await decide(fixture, "accept", 1)).toMatchObject({
      ok: true,
      value: { closed: { ...PERSON, status: "processed" } },
    });
    expect(await decide(fixture, "accept", 1)).toMatchObject({ ok: false, error: { reason: "decided" } });
    expect(await merchantOf(fixture)).toBe(2_000n);
    const { hub, customer } = fixture;
    expect((await hub.store.read((reading) => hub.ledger.account(reading, customer)))?.debitsPosted).toBe(2_000n);
    expect(await copy.tell(other)).toMatchObject([{ status: "duplicate" }]);
    expect(await fixture.hub.metrics.text()).toContain("tillway_hub_quarantined_entries 0\n");
  });

  test("whose payment is confirmed already is a duplicate when a person accepts it", async () => {
    const fixture = await hubFixture();
    const copy = fixture.terminal.copy();
    await fixture.terminal.tell(fixture.terminal.advice("sale-1"), fixture.terminal.advice("sale-2"));
    await copy.tell(copy.advice("sale-2"));
    expect(await decide(fixture, "accept", 1)).toMatchObject({ ok: true, value: { closed: { status: "duplicate" } } });
    expect(await merchantOf(fixture)).toBe(2_000n);
  });

  test("moves nothing when a person drops it, and its terminal is told who did and why", async () => {
    const { fixture, copy, other } = await forked();
    expect(await decide(fixture, "drop", 1)).toMatchObject({ ok: true, value: { closed: { status: "declined" } } });
    const detail = "dropped at the hub by ann: the box was found";
    expect(await copy.tell(other)).toMatchObject([{ status: "declined", reason: "E_DENIED", detail }]);
    expect(await merchantOf(fixture)).toBe(1_000n);
  });

  test.each([
    ["it cannot be read", "E_FORMAT", (entry: ForwardedEntry) => entry],
    ["it is not what was signed", "E_SIG", (entry: ForwardedEntry) => ({ ...entry, text: `${entry.text} ` })],
  ])("because %s stays as a person decided when its terminal asks again", async (_, reason, spoil) => {
    const fixture = await hubFixture();
    const { terminal } = fixture;
    const decision = { ...terminal.decision("sale-1"), surprise: 1 } as EntryOf<"decision">;
    const entry = spoil(terminal.entry(decision));
    expect(await terminal.tell(entry)).toMatchObject([{ status: "quarantined", reason }]);
    expect(await decide(fixture, "drop", 1)).toMatchObject({ ok: true });
    const detail = "dropped at the hub by ann: the box was found";
    expect(await terminal.tell(entry)).toMatchObject([{ status: "declined", reason: "E_DENIED", detail }]);
    expect(await asideOf(fixture)).toHaveLength(1);
  });

  test("cannot be accepted when its content is not what the terminal signed", async () => {
    const fixture = await hubFixture();
    const entry = fixture.terminal.advice("sale-1");
    await fixture.terminal.tell({ ...entry, text: entry.text.replace('"1000"', '"9000"') });
    expect(await decide(fixture, "accept", 1)).toMatchObject({ ok: false, error: { reason: "not-possible" } });
    expect(await merchantOf(fixture)).toBe(0n);
    expect(await fixture.terminal.tell(entry)).toMatchObject([{ status: "processed" }]);
    expect(await asideOf(fixture)).toMatchObject([{ closed: { by: "hub", status: "processed" } }]);
  });

  test("is named also where it holds a NUL, which PostgreSQL takes in no text, and the rest of its batch is taken", async () => {
    const fixture = await hubFixture();
    const { terminal } = fixture;
    const decision = terminal.decision("sale-1");
    const unsigned = { ...terminal.entry(decision), text: "{\0" };
    const odd = terminal.entry({ ...decision, "odd\0": 1 } as typeof decision);
    expect(await terminal.tell(unsigned, odd, terminal.advice("sale-2"))).toMatchObject([
      { status: "quarantined", reason: "E_SIG" },
      { status: "quarantined", reason: "E_FORMAT" },
      { status: "processed" },
    ]);
    expect(await asideOf(fixture)).toMatchObject([
      { text: "{\uFFFD" },
      { detail: expect.stringContaining("odd\uFFFD") },
    ]);
  });

  test("is looked at again when it comes again, and is taken once its cause is mended", async () => {
    const fixture = await hubFixture();
    const { terminal, hub } = fixture;
    await hub.receive(terminal.request("back", { kind: "refund", originalPaymentId: "sale" as PaymentId }));
    const refund = terminal.entry(terminal.decision("back", { operation: "refund", mode: "online" }));
    expect(await terminal.tell(refund)).toMatchObject([{ status: "quarantined" }]);
    expect(await terminal.tell(refund)).toMatchObject([{ status: "quarantined" }]);
    expect(await asideOf(fixture)).toHaveLength(1);
    await terminal.tell(terminal.advice("sale"));
    await hub.receive(terminal.request("back", { attempt: 2, kind: "refund", originalPaymentId: "sale" as PaymentId }));
    expect(await terminal.tell(refund)).toMatchObject([{ status: "processed" }]);
    expect(await terminal.tell(refund)).toMatchObject([{ status: "duplicate" }]);
    expect(await asideOf(fixture)).toMatchObject([{ closed: { by: "hub", status: "processed" } }]);
  });

  test("because it broke the hub leaves nothing of itself, and the rest of its batch is taken once", async () => {
    const fixture = await hubFixture();
    const { terminal, hub } = fixture;
    const entries = [terminal.advice("sale-2"), terminal.advice("sale-3"), terminal.advice("sale-4")];
    await breakSale(hub.store);
    expect(await terminal.tell(...entries)).toMatchObject([
      { status: "processed" },
      { status: "quarantined", reason: "E_UNAVAILABLE" },
      { status: "processed" },
    ]);
    expect(await merchantOf(fixture)).toBe(2_000n);
    const filter = { paymentId: "sale-3", afterNumber: 0, limit: 1 };
    expect(await hub.store.read((reading) => hub.authorisation.transactions(reading, filter))).toEqual([]);
    await mendSale(hub.store);
    expect(await terminal.tell(...entries)).toMatchObject([
      { status: "duplicate" },
      { status: "processed" },
      { status: "duplicate" },
    ]);
    expect(await merchantOf(fixture)).toBe(3_000n);
  });
});

test("the operator lists findings and entries set aside, page by page, and decides on them by name", async () => {
  const fixture = await hubFixture();
  const copy = fixture.terminal.copy();
  await fixture.terminal.tell(fixture.terminal.advice("sale-1"), fixture.terminal.advice("sale-2"));
  await copy.tell(copy.advice("other-1"), copy.advice("other-2"));
  await using app = Fastify() as unknown as FastifyInstance;
  // What the guard of the operator's API gives, without its audit.
  app.decorateRequest("change", (work) => fixture.hub.store.transaction(work));
  registerIngestRoutes(app, { store: fixture.hub.store, ingest: fixture.hub.ingest, clock: fixture.clock });
  const get = async (url: string) => (await app.inject(url)).json<Record<string, unknown>>();
  const post = async (url: string) => (await app.inject({ method: "POST", url, payload: PERSON })).json<object>();

  expect(await get("/v1/findings?terminalId=T1&only=open")).toMatchObject({ findings: [{ kind: "fork", number: 1 }] });
  expect(await get("/v1/findings?terminalId=T2")).toEqual({ findings: [] });
  expect(await post("/v1/findings/1/close")).toMatchObject({ number: 1, closed: PERSON });
  expect(await get("/v1/findings?only=open")).toEqual({ findings: [] });

  const first = await get("/v1/quarantine?limit=1");
  expect(first).toMatchObject({ entries: [{ number: 1, terminalId: "T1", sequence: 1, reason: "E_CONFLICT" }] });
  expect(await get(`/v1/quarantine?limit=1&cursor=${first["cursor"]}`)).toMatchObject({ entries: [{ number: 2 }] });
  expect(String((await get("/v1/quarantine/1"))["text"])).toContain('"other-1"');
  expect(await post("/v1/quarantine/1/accept")).toMatchObject({ closed: { ...PERSON, status: "processed" } });
  expect(await post("/v1/quarantine/2/drop")).toMatchObject({ closed: { ...PERSON, status: "declined" } });
  expect(await get("/v1/quarantine?only=open")).toEqual({ entries: [] });
  expect(await merchantOf(fixture)).toBe(3_000n);
});

test("an entry without a seal must still be what its hash says", async () => {
  const { terminal, hub } = await hubFixture();
  const { sealed: _, sealedDigest: __, ...rest } = terminal.advice("sale-1");
  const [receipt] = only(await hub.receive(terminal.batch([rest])), "receipt").body.results;
  expect(receipt).toMatchObject({ status: "quarantined", reason: "E_SIG" });
  const { hash, ...content } = terminal.entry(terminal.decision("cash", { amount: { minor: "1", currency: EUR } }));
  expect(hashEntry({ terminalId: terminal.terminalId, epoch: terminal.epoch, ...content })).toBe(hash);
});
