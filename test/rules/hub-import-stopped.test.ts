/** A journal that is imported while no hub runs: over the hub's own files. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../base/clock.ts";
import { type PaymentId, systemRandom } from "../../base/ids.ts";
import { HubConfigSchema } from "../../hub/config.ts";
import { adviceStore } from "../../hub/core/switch/advice-store.ts";
import { importStopped } from "../../hub/import-stopped.ts";
import { loadHubKeys } from "../../hub/keys.ts";
import { hubPaths } from "../../hub/main.ts";
import { openHubStore } from "../../hub/open-store.ts";
import { EUR } from "./hub-fixture.ts";
import { fileOf } from "./journal-file.ts";
import { BANK, switchStand } from "./switch-stand.ts";

test("RM14 a completion on an institution's card is posted, and waits to be told with what its hub tells next", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tillway-import-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const paths = hubPaths(folder);
  const stand = await switchStand({ path: paths.database, keys: loadHubKeys(paths.keys, systemRandom) });
  const { terminal, clock, database } = stand.fixture;
  clock.setWall(systemClock.now());
  await stand.buy("hotel", { kind: "pre-authorisation", amount: { minor: "9000", currency: EUR } });
  const bill = terminal.decision("bill", {
    ...{ operation: "completion", mode: "online", originalPaymentId: "hotel" as PaymentId },
    amount: { minor: "7000", currency: EUR },
  });
  const path = fileOf(terminal, [terminal.entry(bill)]);
  await stand[Symbol.asyncDispose]();
  database.close();

  const config = HubConfigSchema.parse({
    ...{ dataDir: folder, logLevel: "error" },
    issuers: [{ id: BANK, ranges: ["476173"], host: "127.0.0.1", port: 1 }],
  });
  expect(await importStopped(path, config)).toMatchObject({ counts: { processed: 1 }, refused: [] });
  await using store = await openHubStore(config, paths.database);
  expect(await store.read((reading) => adviceStore.list(reading, BANK, { afterNumber: 0, limit: 10 }))).toMatchObject([
    { paymentId: "hotel", reason: "completion", state: { at: "waiting", sends: 0 } },
  ]);
  await expect(importStopped(path, { ...config, issuers: [] })).rejects.toMatchObject({ code: "config.invalid" });
});
