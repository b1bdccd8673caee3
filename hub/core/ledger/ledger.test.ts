import fc from "fast-check";
import { expect, test } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import { currencyOf } from "../../../base/money.ts";
import { openSqlite, transaction } from "../../../base/sqlite.ts";
import { createLedger, type Ledger, ledgerMigrations, type NewTransfer, type Transfer } from "./index.ts";
import { type BalanceLimit, LEDGER_AMOUNT_MAX } from "./types.ts";

const [EUR, USD] = [currencyOf("EUR"), currencyOf("USD")];
const ACCOUNTS = [
  { id: "equity", currency: EUR, code: 40, limit: "none" as BalanceLimit },
  { id: "ann", currency: EUR, code: 10, limit: "debits-must-not-exceed-credits" as BalanceLimit },
  { id: "bob", currency: EUR, code: 10, limit: "debits-must-not-exceed-credits" as BalanceLimit },
  { id: "asset", currency: EUR, code: 50, limit: "credits-must-not-exceed-debits" as BalanceLimit },
  { id: "dollars", currency: USD, code: 40, limit: "none" as BalanceLimit },
  { id: "dora", currency: USD, code: 10, limit: "debits-must-not-exceed-credits" as BalanceLimit },
];

function newLedger() {
  const clock = new ManualClock();
  const database = openSqlite(":memory:", { migrations: ledgerMigrations });
  const ledger = createLedger(database, clock);
  ledger.createAccounts(ACCOUNTS);
  return { ledger, clock, database };
}
const single = (id: string, amount: bigint, more: object = {}): NewTransfer => ({
  id,
  kind: "single",
  debitAccount: "equity",
  creditAccount: "ann",
  amount,
  code: 1,
  ...more,
});
const pending = (id: string, amount: bigint, more: object = {}) => single(id, amount, { kind: "pending", ...more });
const one = (ledger: Ledger, transfer: NewTransfer) => ledger.createTransfers([transfer])[0];
const balancesOf = (ledger: Ledger) => ledger.accounts({ limit: 100 });
const historyOf = (ledger: Ledger) => ledger.transfers({ limit: 100_000 });

test("an account is made once; the same again exists, and another is named by its field", () => {
  const { ledger } = newLedger();
  const ann = { id: "ann", currency: EUR, code: 10, limit: "debits-must-not-exceed-credits" } as const;
  expect(
    ledger.createAccounts([
      ann,
      { ...ann, code: 11 },
      { ...ann, currency: USD },
      { ...ann, limit: "none" },
      { ...ann, id: "" },
      { ...ann, id: "x", code: 0 },
    ]),
  ).toEqual([
    "exists",
    "exists-with-different-code",
    "exists-with-different-currency",
    "exists-with-different-limit",
    "id-must-not-be-empty",
    "code-must-not-be-zero",
  ]);
});

test("a transfer repeated exists, and one with other content under its id is named by its field", () => {
  const { ledger } = newLedger();
  expect(one(ledger, single("t", 5n))).toBe("created");
  const before = balancesOf(ledger);
  for (const [changes, status] of [
    [{}, "exists"],
    [{ kind: "pending" }, "exists-with-different-kind"],
    [{ debitAccount: "bob" }, "exists-with-different-debit-account"],
    [{ creditAccount: "bob" }, "exists-with-different-credit-account"],
    [{ amount: 6n }, "exists-with-different-amount"],
    [{ code: 2 }, "exists-with-different-code"],
    [{ balancingDebit: true }, "exists-with-different-flags"],
  ] as const) {
    expect(one(ledger, single("t", 5n, changes))).toBe(status);
  }
  expect(balancesOf(ledger)).toEqual(before);
});

test("a repeat of a transfer that was balanced down exists, although less moved than was asked for", () => {
  const { ledger } = newLedger();
  one(ledger, single("fund", 30n));
  const balanced = single("pay", 50n, { debitAccount: "ann", creditAccount: "bob", balancingDebit: true });
  expect(one(ledger, balanced)).toBe("created");
  expect(ledger.transfer("pay")).toMatchObject({ amount: 30n, requested: 50n });
  expect(one(ledger, balanced)).toBe("exists");
});

test("what an account does not have is refused, held money counts as spent, and the refused id stays failed for ever", () => {
  const { ledger } = newLedger();
  one(ledger, single("fund", 100n));
  const pay = (id: string, amount: bigint, kind = "single") =>
    one(ledger, single(id, amount, { kind, debitAccount: "ann", creditAccount: "bob" }));
  expect(pay("hold", 60n, "pending")).toBe("created");
  expect(pay("pay", 41n)).toBe("exceeds-credits");
  expect(one(ledger, { id: "void", kind: "void-pending", pendingId: "hold", code: 5 })).toBe("created");
  expect(pay("pay", 41n)).toBe("id-already-failed");
  expect(pay("pay-2", 41n)).toBe("created");
});

test("statuses come in their order of precedence", () => {
  const { ledger } = newLedger();
  one(ledger, pending("hold", 10n));
  for (const [transfer, status] of [
    [single("", 1n, { code: 0 }), "id-must-not-be-empty"],
    [single("a", -1n, { code: 0 }), "code-must-not-be-zero"],
    [single("b", -1n, { creditAccount: "equity" }), "amount-must-not-be-negative"],
    [single("c", LEDGER_AMOUNT_MAX + 1n), "amount-too-large"],
    [single("d", 1n, { timeoutMs: 5, creditAccount: "equity" }), "timeout-reserved-for-pending"],
    [single("e", 1n, { creditAccount: "equity" }), "accounts-must-be-different"],
    [single("f", 1n, { debitAccount: "x", creditAccount: "y" }), "debit-account-not-found"],
    [single("g", 1n, { creditAccount: "y" }), "credit-account-not-found"],
    [single("h", 1n, { creditAccount: "dora" }), "accounts-must-have-the-same-currency"],
    [single("i", LEDGER_AMOUNT_MAX), "overflows"],
    [single("j", 1n, { debitAccount: "bob" }), "exceeds-credits"],
    [single("k", 1n, { creditAccount: "asset" }), "exceeds-debits"],
    [{ id: "l", kind: "post-pending", pendingId: "l", code: 1 }, "pending-id-must-be-different"],
    [{ id: "m", kind: "post-pending", pendingId: "none", code: 1 }, "pending-transfer-not-found"],
    [{ id: "n", kind: "post-pending", pendingId: "hold", amount: 11n, code: 1 }, "exceeds-pending-transfer-amount"],
    [{ id: "o", kind: "post-pending", pendingId: "hold", amount: 4n, code: 1 }, "created"],
    [{ id: "p", kind: "void-pending", pendingId: "hold", code: 1 }, "pending-transfer-already-posted"],
    [{ id: "q", kind: "void-pending", pendingId: "o", code: 1 }, "pending-transfer-not-pending"],
  ] as const) {
    expect([transfer.id, one(ledger, transfer)]).toEqual([transfer.id, status]);
  }
  expect(ledger.account("ann")).toMatchObject({ creditsPosted: 4n, creditsPending: 0n });
});

test("a chain of linked transfers succeeds or fails as one, and an open one fails", () => {
  const { ledger } = newLedger();
  const before = balancesOf(ledger);
  const pay = single("pay", 5n, { debitAccount: "bob", creditAccount: "ann" });
  expect(
    ledger.createTransfers([single("a", 1n, { linked: true }), { ...pay, linked: true }, single("c", 1n)]),
  ).toEqual(["linked-event-failed", "exceeds-credits", "linked-event-failed"]);
  expect(balancesOf(ledger)).toEqual(before);
  expect(ledger.createTransfers([single("d", 1n), single("e", 1n, { linked: true })])).toEqual([
    "created",
    "linked-event-chain-open",
  ]);
  expect(ledger.createTransfers([single("a", 1n, { linked: true }), single("c", 1n)])).toEqual(["created", "created"]);
});

test("a hold ends once: posted in part it frees the rest, and neither post nor void can follow either", () => {
  const { ledger } = newLedger();
  one(ledger, pending("hold-1", 10n));
  one(ledger, pending("hold-2", 20n));
  expect(one(ledger, { id: "post-1", kind: "post-pending", pendingId: "hold-1", amount: 4n, code: 1 })).toBe("created");
  expect(one(ledger, { id: "void-2", kind: "void-pending", pendingId: "hold-2", code: 1 })).toBe("created");
  expect(ledger.account("ann")).toMatchObject({ creditsPosted: 4n, creditsPending: 0n });
  expect(ledger.account("equity")).toMatchObject({ debitsPosted: 4n, debitsPending: 0n });
  expect(one(ledger, { id: "void-1", kind: "void-pending", pendingId: "hold-1", code: 1 })).toBe(
    "pending-transfer-already-posted",
  );
  expect(one(ledger, { id: "post-2", kind: "post-pending", pendingId: "hold-2", code: 1 })).toBe(
    "pending-transfer-already-voided",
  );
});

test("random histories hold, post and void often enough to prove anything", async () => {
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(steps, async (history) => {
      let last: readonly Transfer[] = [];
      await play(history, ({ ledger }) => {
        last = historyOf(ledger);
      });
      for (const { kind } of last) seen.set(kind, (seen.get(kind) ?? 0) + 1);
    }),
    { numRuns: 100, seed: 7 },
  );
  for (const kind of ["single", "pending", "post-pending", "void-pending"])
    expect([kind, seen.get(kind) ?? 0]).toEqual([kind, expect.toSatisfy((n: number) => n > 20)]);
});

test("a hold that is due is returned by the sweep, once, and can no longer be posted", async () => {
  const { ledger, clock } = newLedger();
  one(ledger, pending("soon", 5n, { timeoutMs: 1_000 }));
  one(ledger, pending("later", 7n, { timeoutMs: 2_000 }));
  await clock.advance(1_000);
  expect(ledger.expireDue(10)).toEqual(["soon"]);
  expect(ledger.expireDue(10)).toEqual([]);
  expect(ledger.account("ann")?.creditsPending).toBe(7n);
  expect(one(ledger, { id: "post", kind: "post-pending", pendingId: "soon", code: 1 })).toBe(
    "pending-transfer-expired",
  );
});

// Random histories: few ids and accounts, so that repeats, conflicts and refusals are common. The kinds take their ids from
// ranges that overlap a little, so that most resolutions find a hold.

const idFrom = (min: number, max: number) => fc.integer({ min, max }).map((n) => `t${n}`);
const party = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom("equity", "equity", "ann", "bob") },
  { weight: 1, arbitrary: fc.constantFrom("asset", "dollars", "dora", "nobody") },
);
const rarely = fc.integer({ min: 0, max: 5 }).map((n) => n === 0);
const move = fc
  .record({
    kind: fc.constantFrom("single" as const, "pending" as const),
    holdId: idFrom(0, 9),
    moveId: idFrom(9, 40),
    debitAccount: party,
    creditAccount: party,
    amount: fc.bigInt({ min: -1n, max: 40n }),
    code: fc.integer({ min: 1, max: 2 }),
    balancingDebit: rarely,
    linked: rarely,
    timeoutMs: fc.option(fc.constantFrom(100, 500), { nil: undefined }),
  })
  .map(({ kind, holdId, moveId, balancingDebit, linked, timeoutMs, ...rest }) => ({
    ...rest,
    kind,
    id: kind === "pending" ? holdId : moveId,
    ...(balancingDebit ? { balancingDebit: true as const } : {}),
    ...(linked ? { linked: true as const } : {}),
    ...(timeoutMs === undefined || kind === "single" ? {} : { timeoutMs }),
  }));
const resolution = fc
  .record({
    id: idFrom(40, 90),
    pendingId: idFrom(0, 9),
    kind: fc.constantFrom("post-pending" as const, "void-pending" as const),
    part: fc.boolean(),
    amount: fc.bigInt({ min: 0n, max: 20n }),
  })
  .map(
    ({ part, amount, kind, ...rest }): NewTransfer =>
      kind === "void-pending" ? { ...rest, kind, code: 3 } : { ...rest, kind, code: 3, ...(part ? { amount } : {}) },
  );
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(fc.oneof(move as fc.Arbitrary<NewTransfer>, resolution), { minLength: 1, maxLength: 4 }),
  },
  { weight: 1, arbitrary: fc.constantFrom("wait" as const) },
);
type Step = NewTransfer[] | "wait";

async function play(steps: readonly Step[], check: (world: ReturnType<typeof newLedger>, step: Step) => void) {
  const world = newLedger();
  world.ledger.createTransfers([
    single("fund-ann", 60n),
    single("fund-dora", 60n, { debitAccount: "dollars", creditAccount: "dora" }),
  ]);
  for (const next of steps) {
    if (next === "wait") {
      await world.clock.advance(200);
      world.ledger.expireDue(1_000);
    } else {
      world.ledger.createTransfers(next);
    }
    check(world, next);
  }
  world.database.close();
}

function expectSound(ledger: Ledger): void {
  for (const currency of [EUR, USD]) {
    const accounts = balancesOf(ledger).filter((account) => account.currency === currency);
    expect(accounts.reduce((sum, a) => sum + a.creditsPosted - a.debitsPosted, 0n)).toBe(0n);
    expect(accounts.reduce((sum, a) => sum + a.creditsPending - a.debitsPending, 0n)).toBe(0n);
  }
  for (const a of balancesOf(ledger)) {
    if (a.limit === "debits-must-not-exceed-credits")
      expect(a.debitsPosted + a.debitsPending).toBeLessThanOrEqual(a.creditsPosted);
    if (a.limit === "credits-must-not-exceed-debits")
      expect(a.creditsPosted + a.creditsPending).toBeLessThanOrEqual(a.debitsPosted);
  }
  const history = historyOf(ledger);
  for (const hold of history.filter((transfer) => transfer.kind === "pending")) {
    const ends = history.filter((transfer) => transfer.pendingId === hold.id);
    expect(ends.length).toBeLessThanOrEqual(1);
    expect(ends.reduce((sum, end) => sum + end.amount, 0n)).toBeLessThanOrEqual(hold.amount);
  }
}

const steps = fc.array(step, { maxLength: 40, size: "max" });

test("random histories keep every currency at zero, every limit kept, and no hold ended twice or for more than it held", async () => {
  await fc.assert(
    fc.asyncProperty(steps, (history) => play(history, ({ ledger }) => expectSound(ledger))),
    { numRuns: 100 },
  );
});

test("a repeat of any step of a random history changes nothing that the first time did not", async () => {
  await fc.assert(
    fc.asyncProperty(steps, (history) =>
      play(history, ({ ledger }, next) => {
        if (next === "wait") return;
        // What the first time created exists now; what it refused may only be refused or fail again, so the made ones are repeated.
        const made = next.filter((transfer) => ledger.transfer(transfer.id) !== undefined);
        const before = [balancesOf(ledger), historyOf(ledger)];
        for (const transfer of made) {
          const { linked: _, ...alone } = transfer;
          expect(one(ledger, alone)).toMatch(/^exists/);
        }
        expect([balancesOf(ledger), historyOf(ledger)]).toEqual(before);
      }),
    ),
    { numRuns: 40 },
  );
});

test("the transfers of a random history, replayed in order, give equal balances", async () => {
  const again = ({ requested, amount, number: _, createdAt: __, pendingId, ...rest }: Transfer): NewTransfer =>
    ({
      ...rest,
      ...(pendingId === undefined
        ? { amount: requested ?? amount }
        : { pendingId, ...(rest.kind === "post-pending" ? { amount } : {}) }),
    }) as NewTransfer;
  await fc.assert(
    fc.asyncProperty(steps, async (history) => {
      let [last, balances]: [readonly Transfer[], ReturnType<typeof balancesOf>] = [[], []];
      await play(history, ({ ledger }) => {
        last = historyOf(ledger);
        balances = balancesOf(ledger);
      });
      const replayed = newLedger();
      for (const transfer of last) {
        const { linked: _, ...alone } = again(transfer);
        expect(one(replayed.ledger, alone as NewTransfer)).toBe("created");
      }
      const amounts = (all: ReturnType<typeof balancesOf>) => all.map(({ createdAt: _, ...account }) => account);
      if (last.length > 0) expect(amounts(balancesOf(replayed.ledger))).toEqual(amounts(balances));
      replayed.database.close();
    }),
    { numRuns: 40 },
  );
});

test("a random history in one batch ends as it does step by step, and one that throws leaves nothing", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (history) => {
      const moves = history.filter((next) => next !== "wait");
      const [alone, together] = [newLedger(), newLedger()];
      const statuses = moves.map((transfers) => alone.ledger.createTransfers(transfers));
      const run = () =>
        together.ledger.batched(() => moves.map((transfers) => together.ledger.createTransfers(transfers)));
      const untouched = [balancesOf(together.ledger), historyOf(together.ledger)];
      const broken = () =>
        transaction(together.database, () =>
          together.ledger.batched(() => {
            run();
            throw new Error("broken");
          }),
        );
      expect(broken).toThrow("broken");
      expect([balancesOf(together.ledger), historyOf(together.ledger)]).toEqual(untouched);
      expect(transaction(together.database, run)).toEqual(statuses);
      expect([balancesOf(together.ledger), historyOf(together.ledger)]).toEqual([
        balancesOf(alone.ledger),
        historyOf(alone.ledger),
      ]);
    }),
    { numRuns: 60 },
  );
});
