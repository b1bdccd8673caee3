/** RM18: a hub that was restored from an older backup is told again what it has lost. */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { silentLog } from "../../base/log.ts";
import { createHubCore, type HubCore, openHubDatabase } from "../../hub/hub-core.ts";
import { sqliteStore } from "../../hub/store/sqlite-store.ts";
import type { ForwardedEntry } from "../../wire/advice.ts";
import { type HubFixture, hubFixture, seededRandom, TEST_POLICY } from "./hub-fixture.ts";

const PERSON = { by: "ann", why: "the receipt was found" };
const balancesOf = async (hub: HubCore) =>
  (await hub.store.read((reading) => hub.ledger.accounts(reading, { limit: 100 }))).map(
    ({ id, debitsPosted, creditsPosted }) => ({ id, debitsPosted, creditsPosted }),
  );
const debitsOf = async (hub: HubCore, id: string) =>
  (await hub.store.read((reading) => hub.ledger.account(reading, id)))?.debitsPosted;

describe("RM18 a hub restored from an older backup", () => {
  const erased = ({ sealed: _, ...entry }: ForwardedEntry): ForwardedEntry => entry;

  function restored(fixture: HubFixture, path: string): Promise<HubCore> {
    const database = openHubDatabase(path);
    onTestFinished(() => void database.close());
    const { keys, clock } = fixture;
    const random = seededRandom("restored");
    return createHubCore({ store: sqliteStore(database), keys, policy: TEST_POLICY, clock, random, log: silentLog });
  }

  test("shows its lower watermark, and has the ledger of before once the terminal has sent again what it holds", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tillway-restore-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "hub.db");
    const fixture = await hubFixture({ path });
    const { terminal } = fixture;
    const sold = [terminal.advice("sale-1"), terminal.advice("sale-2")];
    await terminal.tell(...sold);
    await terminal.ask(terminal.request("online-1"));
    fixture.database.pragma("wal_checkpoint(TRUNCATE)");
    copyFileSync(path, join(folder, "backup.db"));

    const later = [
      terminal.advice("online-1", { mode: "online", attempts: [1] }),
      terminal.advice("sale-3"),
      terminal.advice("sale-4"),
    ];
    await terminal.tell(...later);
    expect((await terminal.arrive()).held).toMatchObject({ hubEpoch: fixture.hub.hubEpoch, watermark: 5 });
    const whole = await balancesOf(fixture.hub);
    fixture.database.close();

    const hub = await restored(fixture, join(folder, "backup.db"));
    terminal.connect(hub);
    expect((await terminal.arrive()).held).toMatchObject({ hubEpoch: fixture.hub.hubEpoch, watermark: 2 });
    const results = await terminal.tell(...[...sold, ...later].map(erased));
    expect(results.map(({ status }) => status)).toEqual([
      "duplicate",
      "duplicate",
      "processed",
      "processed",
      "processed",
    ]);
    expect(results[2]).not.toHaveProperty("detail");
    expect(results[3]?.detail).toBe("1000 minor units are exposure of operator: its card data did not come with it");
    expect((await terminal.arrive()).held?.watermark).toBe(5);
    expect((await balancesOf(hub)).find(({ id }) => id === fixture.merchant)).toEqual(
      whole.find(({ id }) => id === fixture.merchant),
    );
    expect(await debitsOf(hub, "exposure:operator:EUR")).toBe(2_000n);
    expect(await debitsOf(hub, fixture.customer)).toBe(3_000n);
    expect(await hub.store.read((reading) => hub.ingest.findings.countOpen(reading))).toBe(0);
  });

  test("sets a deferred sale aside whose card it can no longer ask for: only the receipt of then knows", async () => {
    const fixture = await hubFixture();
    fixture.deferring = true;
    const { terminal, hub, clock } = fixture;
    const entry = erased(terminal.advice("sale-1", { deferred: true }));
    expect(await terminal.tell(entry)).toMatchObject([{ status: "quarantined", reason: "E_STATE" }]);
    const by = { ...PERSON, now: clock.now() };
    await hub.store.transaction((within) => hub.ingest.quarantine.accept(within, 1, by));
    expect(await terminal.tell(entry)).toMatchObject([{ status: "duplicate" }]);
    expect(await debitsOf(hub, "exposure:operator:EUR")).toBe(1_000n);
  });
});
