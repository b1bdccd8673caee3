import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { sqliteStore } from "../../store/sqlite-store.ts";
import { exchangeStore } from "./exchange-store.ts";
import { periodStore } from "./period-store.ts";
import { switchMigrations } from "./schema.ts";

const folder = mkdtempSync(join(tmpdir(), "tillway-switch-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** One question that was answered, and one under way. */
const OLD_ROWS = `
  INSERT INTO switch__exchange VALUES ('T1', 'answered', 1, 'bank-1', 'a', '{}', x'00', '000001', 5, 1, 0, 5);
  INSERT INTO switch__exchange VALUES ('T1', 'asked', 1, 'bank-1', 'a', '{}', x'00', '000002', 6, 1, 1, 6);
  INSERT INTO switch__advice VALUES (1, 'bank-1', 'a', 'T1', 'told', 1, 'advice', 'offline', 1, '00', NULL, NULL, 7, 'waiting', 0, 0, 7, NULL, NULL, NULL);`;

test("what issuers were asked before there were business days is kept, and belongs to the day that is open when they answer", async () => {
  const path = join(folder, "hub.db");
  const old = openSqlite(path, { migrations: switchMigrations.slice(0, 1) });
  old.exec(OLD_ROWS);
  old.close();
  await using store = sqliteStore(openSqlite(path, { migrations: switchMigrations }));
  const of = (paymentId: string) => ({ terminalId: "T1" as TerminalId, paymentId: paymentId as PaymentId });
  const [answered, asked] = await store.read(async (reading) => [
    await exchangeStore.get(reading, of("answered"), 1),
    await exchangeStore.get(reading, of("asked"), 1),
  ]);
  expect(answered).toMatchObject({ trace: { stan: "000001", transmittedAt: 5 }, open: false, known: true });
  expect(asked).toMatchObject({ open: true, known: false });
  const wanted = { institutionId: "bank-1", today: "2026-01-05", earlier: asked?.day };
  expect(await store.transaction((within) => periodStore.open(within, wanted))).toBe("2026-01-05");
  expect(await store.read((reading) => periodStore.inDoubt(reading, "bank-1", "2026-01-05"))).toBe(true);
});
