import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import { Fault } from "../../../base/fault.ts";
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import { silentLog } from "../../../base/log.ts";
import { money } from "../../../base/money.ts";
import { openSqlite } from "../../../base/sqlite.ts";
import { answerTo } from "../../../protocols/iso8583/exchange.ts";
import type { Iso8583Message } from "../../../protocols/iso8583/message.ts";
import { SPEC_1987_ASCII } from "../../../protocols/iso8583/specs.ts";
import { createGroupCommit, type GroupCommit } from "../../group-commit.ts";
import { sqliteStore } from "../../store/sqlite-store.ts";
import type { HubStore } from "../../store/store.ts";
import type { LinkAnswer } from "../issuers/index.ts";
import { AVAILABILITY_DEFAULTS } from "../standin/availability.ts";
import { RECOVERY_DEFAULTS } from "../standin/recovery.ts";
import { adviceStore } from "./advice-store.ts";
import { exchangeStore } from "./exchange-store.ts";
import { IssuerReconciler } from "./issuer-reconciler.ts";
import { movementStore } from "./movement-store.ts";
import { periodStore } from "./period-store.ts";
import { reconciliationStore } from "./reconciliation-store.ts";
import { switchMigrations } from "./schema.ts";

const BANK = "bank-1";
const DAY = "2026-01-05";
const SECOND_MS = 1_000;
const UP = { at: "up", timeouts: 0 } as const;
const key = { terminalId: "T1" as TerminalId, paymentId: "p-1" as PaymentId };

let clock: ManualClock;
let store: HubStore;
let commits: GroupCommit;
let sent: { readonly message: Iso8583Message; readonly afterSec: number }[];
let answer: (message: Iso8583Message) => LinkAnswer;
let status: "up" | "signed-off";
let reconciler: IssuerReconciler;

const silent = (): LinkAnswer => ({ what: "unanswered", why: "timeout" });
const coded =
  (code: string, more = {}) =>
  (message: Iso8583Message): LinkAnswer => {
    const { mti, fields } = answerTo(message, "0", code);
    return { what: "answered", message: { mti, fields: { ...fields, ...more } }, afterMs: 1 };
  };
const listed = () =>
  store.read((reading) => reconciliationStore.list(reading, BANK, { beforeNumber: 1_000, limit: 100 }));
const pass = (seconds: number) => clock.advance(seconds * SECOND_MS);

beforeEach(() => {
  clock = new ManualClock(Date.parse(`${DAY}T23:59:50Z`));
  store = sqliteStore(openSqlite(":memory:", { migrations: switchMigrations }));
  commits = createGroupCommit(store, { onCommit: () => {} });
  [sent, answer, status] = [[], coded("00"), "up"];
  let stan = 0;
  const link = {
    get status() {
      return status;
    },
    newTrace: () => {
      stan += 1;
      return { stan: String(stan).padStart(6, "0"), transmittedAt: clock.now() };
    },
    request: async (message: Iso8583Message) => {
      sent.push({ message, afterSec: Math.round(clock.monotonic() / SECOND_MS) });
      return answer(message);
    },
  };
  reconciler = new IssuerReconciler({
    desk: {
      institution: { id: BANK, ranges: ["4"], address: { host: "127.0.0.1", port: 1 }, spec: SPEC_1987_ASCII },
      availability: UP,
      get businessDay() {
        return new Date(clock.now()).toISOString().slice(0, DAY.length);
      },
      link,
    },
    acquirer: { id: "100000", merchant: "SHOP", category: "5411" },
    policy: { availability: AVAILABILITY_DEFAULTS, recovery: RECOVERY_DEFAULTS, probeEveryMs: SECOND_MS },
    ...{ commits, clock, log: silentLog, metrics: { count: () => {} } },
  });
});
afterEach(async () => {
  await reconciler[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
});

/** The issuer posted this today, and answered it. */
async function moved(code = "EUR", paymentId = "p-1"): Promise<void> {
  await store.transaction(async (within) => {
    const day = await periodStore.open(within, { institutionId: BANK, today: DAY });
    const about = { ...key, paymentId: paymentId as PaymentId, attempt: 1, institutionId: BANK, day };
    await movementStore.put(within, { ...about, ...money(650n, code), side: "debit", back: false });
  });
}

describe("the totals of a day", () => {
  test("RM14 are asked for once it has ended, in one message for each currency", async () => {
    await moved("EUR");
    await moved("USD", "p-2");
    reconciler.start();
    await pass(9);
    expect(sent).toEqual([]);
    await pass(15);
    expect(sent.map(({ message: { mti, fields } }) => [mti, fields[15], fields[50], fields[76], fields[97]])).toEqual([
      ["0500", "0105", "978", "0000000001", "D0000000000000650"],
      ["0500", "0105", "840", "0000000001", "D0000000000000650"],
    ]);
    expect(await listed()).toMatchObject([{ state: "in-balance" }, { state: "in-balance" }]);
  });

  test("RM14 are told as an advice where the request had no answer, and repeated under its trace, ever more rarely", async () => {
    answer = silent;
    await moved();
    reconciler.start();
    await pass(60);
    const [asked, ...told] = sent.map(({ message }) => message);
    expect([asked, ...told].map((message) => message?.mti).slice(0, 4)).toEqual(["0500", "0520", "0521", "0521"]);
    expect(asked?.fields[11]).not.toBe(told[0]?.fields[11]);
    expect(told.every(({ fields }) => fields[11] === told[0]?.fields[11] && fields[76] === "0000000001")).toBe(true);
    const waits = sent.map(({ afterSec }, at) => afterSec - (sent[at - 1]?.afterSec ?? 0)).slice(1, 5);
    expect(waits).toEqual([1, 2, 4, 8]);
    answer = coded("00");
    await pass(60);
    expect(await listed()).toMatchObject([{ state: "in-balance" }]);
  });

  test("RM14 that he cannot compare just now are told again, and those that he refuses thrice are not", async () => {
    answer = coded("91");
    await moved();
    reconciler.start();
    await pass(600);
    expect(await listed()).toMatchObject([{ state: "waiting" }]);
    answer = coded("12");
    await pass(300);
    expect(await listed()).toMatchObject([{ state: "refused", refusedWith: "12", refusals: 3 }]);
    const { length } = sent;
    await pass(300);
    expect(sent).toHaveLength(length);
  });

  test("RM14 that an issuer never answers are not told for ever", async () => {
    answer = silent;
    await moved();
    reconciler.start();
    await pass(21);
    const [known] = await listed();
    if (!known) throw new Error("the day is closed");
    await store.transaction((within) => reconciliationStore.move(within, { ...known, state: "waiting", sends: 1_438 }));
    await pass(200);
    expect(await listed()).toMatchObject([{ state: "unanswered", sends: 1_440 }]);
  });

  test("that no message can hold are given up at once", async () => {
    await moved();
    answer = () => {
      throw new Fault("codec.invalid", "DE 88 is too long");
    };
    reconciler.start();
    await pass(60);
    expect([sent.length, await listed()]).toMatchObject([1, [{ state: "unanswered" }]]);
  });

  test("wait for an issuer who is away", async () => {
    status = "signed-off";
    await moved();
    reconciler.start();
    await pass(60);
    expect(sent).toEqual([]);
    status = "up";
    await pass(15);
    expect(sent).toHaveLength(1);
  });
});

describe("a day", () => {
  const told = async (sends: number): Promise<void> => {
    const about = { ...key, attempt: 1, institutionId: BANK, account: "a" };
    await store.transaction(async (within) => {
      const trace = { stan: "000001", transmittedAt: 0 };
      const more = { facts: "{}", card: new Uint8Array(), trace, day: DAY, at: 0, sent: true, open: false };
      await exchangeStore.put(within, { ...about, ...more });
      const advice = { kind: "reversal", reason: "timeout", approved: false, responseCode: "00", at: 0 } as const;
      await adviceStore.put(within, { ...about, ...advice });
      const put = await adviceStore.get(within, 1);
      if (put) await adviceStore.move(within, { ...put, state: { at: "waiting", sends, refusals: 0, dueAt: 0 } });
    });
  };

  test("RM14 stays open for what he may have posted on it, but not for what he never answers", async () => {
    await moved();
    await told(9);
    reconciler.start();
    await pass(60);
    expect(await listed()).toEqual([]);
    await store.transaction(async (within) => {
      const advice = await adviceStore.get(within, 1);
      expect(advice?.day).toBe(DAY);
      if (advice) await adviceStore.move(within, { ...advice, state: { ...advice.state, sends: 10 } });
    });
    await pass(15);
    expect(await listed()).toMatchObject([{ state: "in-balance" }]);
  });
});
