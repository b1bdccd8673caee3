/** What a database that fails in the middle leaves of a change, its audit entry and its idempotency key. */
import { beforeEach, expect, test } from "vitest";
import { TEST_EXPIRY } from "./hub-fixture.ts";
import { BOOTSTRAP_TOKEN as bearer, isRevoked, type OperatorHub, operatorHub } from "./operators-fixture.ts";

let hub: OperatorHub;
beforeEach(async () => {
  hub = await operatorHub();
});

const revoke = (why: string) => hub.ask("POST", "/v1/terminals/T1/revoke", { bearer, body: { by: "ann", why } });
const append = () =>
  hub.operators.store.transaction((within) =>
    hub.operators.audit.append(within, { action: "x", who: "ann", outcome: "done" }),
  );

test("a change that cannot be audited is not made", async () => {
  hub.database.exec("CREATE TRIGGER full BEFORE INSERT ON operators__audit BEGIN SELECT RAISE(ABORT, 'full'); END");
  expect((await revoke("lost")).status).toBeGreaterThanOrEqual(500);
  expect(await isRevoked(hub)).toBe(false);
});

test("an entry that could be written only in part is not there, and the next one is", async () => {
  hub.database.exec(
    "CREATE TRIGGER stuck BEFORE UPDATE ON operators__audit_head BEGIN SELECT RAISE(ABORT, 'stuck'); END",
  );
  await expect(append()).rejects.toThrow(/stuck/);
  hub.database.exec("DROP TRIGGER stuck");
  expect(await append()).toBe(1);
});

test("a change that is undone leaves its failure and no success", async () => {
  hub.database.exec(
    "CREATE TRIGGER broken BEFORE INSERT ON terminals__action BEGIN SELECT RAISE(ABORT, 'broken'); END",
  );
  expect((await revoke("lost")).status).toBeGreaterThanOrEqual(500);
  expect(await hub.entries()).toMatchObject([{ outcome: "failed" }]);
});

const ACCOUNT = { pan: "9999990000000114", expiry: TEST_EXPIRY, balance: { minor: "5000", currency: "EUR" } };
const openAccount = () => hub.ask("POST", "/v1/accounts", { bearer, body: ACCOUNT, key: "key-number-1" });
const accounts = async () => {
  const page = { after: "", limit: 100 };
  return (await hub.hub.store.read((reading) => hub.hub.authorisation.accounts(reading, page))).length;
};

test("a database that goes away gives 503 with Retry-After, and the same request may then be repeated", async () => {
  const held = await accounts();
  hub.database.pragma("query_only = ON");
  const away = await openAccount();
  expect(away).toMatchObject({ status: 503, body: { code: "E_UNAVAILABLE" }, headers: { "retry-after": "1" } });
  hub.database.pragma("query_only = OFF");
  expect(await accounts()).toBe(held);
  expect((await openAccount()).status).toBe(201);
  expect((await openAccount()).status).toBe(201);
  expect(await accounts()).toBe(held + 1);
});
