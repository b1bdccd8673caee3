/** RM18: a hub that was restored from an older backup is told again what it has lost. */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { silentLog } from "../../base/log.ts";
import { createHubCore, type HubCore, openHubDatabase } from "../../hub/hub-core.ts";
import type { ForwardedEntry } from "../../wire/advice.ts";
import { type HubFixture, hubFixture, seededRandom, TEST_POLICY } from "./hub-fixture.ts";

const PERSON = { by: "ann", why: "the receipt was found" };
const balancesOf = (hub: HubCore) =>
  hub.ledger
    .accounts({ limit: 100 })
    .map(({ id, debitsPosted, creditsPosted }) => ({ id, debitsPosted, creditsPosted }));

describe("RM18 a hub restored from an older backup", () => {
  const erased = ({ sealed: _, ...entry }: ForwardedEntry): ForwardedEntry => entry;

  function restored(fixture: HubFixture, path: string): HubCore {
    const database = openHubDatabase(path);
    onTestFinished(() => void database.close());
    const { keys, clock } = fixture;
    const random = seededRandom("restored");
    return createHubCore({ database, keys, policy: TEST_POLICY, clock, random, log: silentLog });
  }

  test("shows its lower watermark, and has the ledger of before once the terminal has sent again what it holds", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tillway-restore-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "hub.db");
    const fixture = hubFixture({ path });
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
    const whole = balancesOf(fixture.hub);
    fixture.database.close();

    const hub = restored(fixture, join(folder, "backup.db"));
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
    expect(balancesOf(hub).find(({ id }) => id === fixture.merchant)).toEqual(
      whole.find(({ id }) => id === fixture.merchant),
    );
    expect(hub.ledger.account("exposure:operator:EUR")?.debitsPosted).toBe(2_000n);
    expect(hub.ledger.account(fixture.customer)?.debitsPosted).toBe(3_000n);
    expect(hub.ingest.findings.countOpen()).toBe(0);
  });

  test("sets a deferred sale aside whose card it can no longer ask for: only the receipt of then knows", async () => {
    const fixture = hubFixture();
    fixture.deferring = true;
    const { terminal, hub, clock } = fixture;
    const entry = erased(terminal.advice("sale-1", { deferred: true }));
    expect(await terminal.tell(entry)).toMatchObject([{ status: "quarantined", reason: "E_STATE" }]);
    hub.ingest.quarantine.accept(1, { ...PERSON, now: clock.now() });
    expect(await terminal.tell(entry)).toMatchObject([{ status: "duplicate" }]);
    expect(hub.ledger.account("exposure:operator:EUR")?.debitsPosted).toBe(1_000n);
  });
});
