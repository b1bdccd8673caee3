/** RM18: a terminal's journal that comes as a file, while the terminal itself may not speak to the hub any more. */
import Fastify, { type FastifyInstance } from "fastify";
import { expect, test } from "vitest";
import type { PaymentId } from "../../base/ids.ts";
import { importFile } from "../../hub/import-file.ts";
import { registerImportRoutes, remoteImports } from "../../hub/import-routes.ts";
import type { EntryBody, StoredEntry } from "../../wire/journal-entry.ts";
import { newSigningKeys } from "../../wire/signing.ts";
import { EUR, type FakeTerminal, type HubFixture, hubFixture } from "./hub-fixture.ts";
import { type FileOptions, fileOf } from "./journal-file.ts";

const accountOf = ({ hub }: HubFixture, id: string) => hub.store.read((reading) => hub.ledger.account(reading, id));
const merchantOf = async (fixture: HubFixture) => (await accountOf(fixture, fixture.merchant))?.creditsPosted ?? 0n;
const intent = (paymentId: string): EntryBody => ({
  kind: "intent",
  paymentId: paymentId as PaymentId,
  at: "2026-01-05T09:00:00Z",
  operation: "purchase",
  amount: { minor: "1000", currency: EUR },
});

/** What a disk holds: three sales with their intents, of which the hub may have heard. */
function journalOf(terminal: FakeTerminal): {
  readonly entries: readonly StoredEntry[];
  readonly sales: readonly StoredEntry[];
} {
  const entries: StoredEntry[] = [];
  for (const id of ["sale-1", "sale-2", "sale-3"]) entries.push(terminal.kept(intent(id)), terminal.advice(id));
  return { entries, sales: entries.filter(({ forward }) => forward !== undefined) };
}

test("RM18 a revoked terminal's journal posts what the hub had not heard, and a second import changes nothing", async () => {
  const fixture = await hubFixture();
  const { terminal, hub } = fixture;
  await hub.receive(terminal.request("sale-2"));
  const { entries, sales } = journalOf(terminal);
  await terminal.tell(...sales.slice(0, 1));
  await hub.store.transaction((within) =>
    hub.terminals.revoke(within, { terminalId: terminal.terminalId, by: "ann", why: "stolen" }),
  );
  await expect(hub.receive(terminal.batch(sales.slice(1)))).rejects.toMatchObject({ code: "identity.revoked" });

  const path = fileOf(terminal, entries);
  expect(await importFile(path, hub.imports)).toMatchObject({
    terminalId: "T1",
    epoch: terminal.epoch,
    entries: 6,
    skipped: 3,
    held: 1,
    counts: { processed: 2, duplicate: 1 },
    refused: [],
  });
  expect(await merchantOf(fixture)).toBe(3_000n);
  expect((await accountOf(fixture, fixture.customer))?.debitsPosted).toBe(2_000n);
  expect((await accountOf(fixture, "exposure:operator:EUR"))?.debitsPosted).toBe(1_000n);

  const whole = await fixture.dump();
  expect(await importFile(path, hub.imports)).toMatchObject({ held: 3, skipped: 3, counts: { duplicate: 3 } });
  expect(await fixture.dump()).toBe(whole);
});

test("a file that was changed, cut, or signed by another key brings nothing in", async () => {
  const fixture = await hubFixture();
  const { terminal, hub } = fixture;
  const { entries } = journalOf(terminal);
  const whole = await fixture.dump();
  const attempt = (options: FileOptions) => importFile(fileOf(terminal, entries, options), hub.imports);
  const spoil = (lines: string[]) => {
    lines[2] = String(lines[2]).replace('\\"1000\\"', '\\"9000\\"');
  };
  await expect(attempt({ change: spoil })).rejects.toMatchObject({ code: "signature.invalid" });
  await expect(attempt({ change: (lines) => void lines.splice(2, 1) })).rejects.toMatchObject({
    code: "signature.invalid",
  });
  await expect(attempt({ change: (lines) => void lines.pop() })).rejects.toMatchObject({ code: "message.invalid" });
  await expect(attempt({ keys: newSigningKeys() })).rejects.toMatchObject({
    code: "identity.invalid",
    message: expect.stringContaining("it comes from another box"),
  });
  await expect(importFile("/nowhere", hub.imports)).rejects.toMatchObject({ code: "config.invalid" });
  expect(await fixture.dump()).toBe(whole);
});

test("a part that is not the one that was checked is refused, and nothing of it is applied", async () => {
  const fixture = await hubFixture();
  const { terminal, hub } = fixture;
  const { entries } = journalOf(terminal);
  const file: string[] = [];
  fileOf(terminal, entries, { change: (lines) => void file.push(...lines) });
  const forged = file.map((line) => line.replace("sale-3", "sale-9"));
  const begin = async (): Promise<string> => {
    const id = await hub.imports.begin();
    await hub.imports.check(id, file);
    return id;
  };
  await expect(hub.imports.apply(await begin(), file)).rejects.toThrow("was not checked to its end");
  const id = await begin();
  await hub.imports.checked(id);
  await expect(hub.imports.apply(id, forged)).rejects.toThrow("part 1 is not the one that was checked");
  await expect(hub.imports.apply(id, file)).rejects.toThrow("there is no such import");
  expect(await merchantOf(fixture)).toBe(0n);
});

test("an import that nobody goes on with is forgotten, and no more than a few are under way", async () => {
  const { hub, clock } = await hubFixture();
  const ids = [];
  for (let count = 0; count < 4; count += 1) ids.push(await hub.imports.begin());
  await expect(hub.imports.begin()).rejects.toMatchObject({ code: "queue.full" });
  await clock.advance(600_000);
  expect(await hub.imports.begin()).toMatch(/^[0-9a-f]{16}$/);
  await expect(hub.imports.checked(String(ids[0]))).rejects.toThrow("there is no such import");
});

test("an entry that was spoilt on its disk is set aside and named, and the others are taken", async () => {
  const fixture = await hubFixture();
  const { terminal, hub } = fixture;
  const entries = [...journalOf(terminal).entries];
  const spoilt = entries[3];
  if (spoilt) entries[3] = { ...spoilt, text: spoilt.text.replace('"1000"', '"9000"') };
  expect(await importFile(fileOf(terminal, entries), hub.imports)).toMatchObject({
    firstBad: { sequence: 4, why: "was changed after it was written" },
    counts: { processed: 2, quarantined: 1 },
    refused: [{ sequence: 4, status: "quarantined", reason: "E_SIG" }],
  });
  expect(await merchantOf(fixture)).toBe(2_000n);
});

test("a running hub takes the file by its operator's API, with the same report", async () => {
  const fixture = await hubFixture();
  const { terminal, hub } = fixture;
  const { entries } = journalOf(terminal);
  await using app = Fastify() as unknown as FastifyInstance;
  registerImportRoutes(app, hub.imports);
  const post = async (url: string, payload: unknown): Promise<unknown> =>
    (await app.inject({ method: "POST", url, payload: payload as object })).json();
  const sink = remoteImports({ get: () => Promise.reject(new Error("nothing is read")), post });
  expect(await importFile(fileOf(terminal, entries), sink)).toMatchObject({
    terminalId: "T1",
    entries: 6,
    skipped: 3,
    counts: { processed: 3 },
  });
  expect(await merchantOf(fixture)).toBe(3_000n);
});
