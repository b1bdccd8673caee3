/** Accounts of operators: who there is, with which role, and how somebody proves to be one of them. */
import type { Clock } from "../../../base/clock.ts";
import { fail, ok, type Result } from "../../../base/result.ts";
import type { HubStore, Reading, Within } from "../../store/store.ts";
import type { Passwords } from "./passwords.ts";
import { BOOTSTRAP, type Role } from "./roles.ts";
import { type AccountRow, operatorStore } from "./store.ts";
import { createThrottle } from "./throttle.ts";

export interface AccountView {
  readonly name: string;
  readonly role: Role;
  readonly createdAt: number;
  readonly disabledAt?: number;
}

export interface LogIn {
  readonly name: string;
  readonly password: string;
  readonly address: string;
}

/** A password that fitted: what it stands for is known by `stillProven` alone. */
export interface Proven {
  readonly name: string;
  readonly address: string;
  /** The hash that it fitted. */
  readonly fitted: string;
}

export type LogInRefusal = { readonly why: "denied" } | { readonly why: "throttled"; readonly waitSec: number };
/** last-admin: nobody would be left who can make another. */
export type AccountRefusal = "unknown" | "last-admin";

/** Lower case, so that no two look alike; part of paths. */
export const NAME_PATTERN = /^[a-z][a-z0-9._-]{0,31}$/;

/** Wrong log-ins in a row that cost nothing: for one name; from one address, which a whole office may share. */
const FREE_BY_NAME = 5;
const FREE_BY_ADDRESS = 20;

export type Accounts = ReturnType<typeof createAccounts>;

export interface AccountOptions {
  readonly store: HubStore;
  readonly clock: Clock;
  readonly passwords: Passwords;
}

export function createAccounts({ store, clock, passwords }: AccountOptions) {
  return { ...accountList(clock), ...accountChanges(clock), ...proofs({ store, clock, passwords }) };
}

const accountList = (clock: Clock) => ({
  async get(reading: Reading, name: string): Promise<AccountView | undefined> {
    const row = await operatorStore.account(reading, name);
    return row && viewOf(row);
  },
  list: async (reading: Reading, page: { readonly after: string; readonly limit: number }) =>
    (await operatorStore.accounts(reading, page.after, page.limit)).map(viewOf),
  /** Whether somebody could make others if the token in the data folder were not taken any more. */
  hasAdmin: async (reading: Reading): Promise<boolean> => (await operatorStore.adminsBeside(reading, "")) > 0,

  /** `password` as `Passwords.hash` gave it, here and below. */
  async add(
    within: Within,
    input: { readonly name: string; readonly role: Role; readonly password: string },
  ): Promise<Result<AccountView, "taken">> {
    const row = { ...input, createdAt: clock.now() };
    if (input.name === BOOTSTRAP.name || !(await operatorStore.insertAccount(within, row))) return fail("taken");
    return ok(viewOf({ ...row, disabledAt: null }));
  },
});

const accountChanges = (clock: Clock) => ({
  setRole: (within: Within, name: string, role: Role) =>
    changed(within, { name, keepsAdmin: role === "admin" }, () => operatorStore.setRole(within, name, role)),
  setPassword: (within: Within, name: string, password: string) =>
    changed(within, { name, keepsAdmin: true }, () => operatorStore.setPassword(within, name, password)),
  /** Its API tokens are gone for good. */
  disable: (within: Within, name: string) =>
    changed(within, { name, keepsAdmin: false }, async () => {
      await operatorStore.setDisabled(within, name, clock.now());
      await operatorStore.removeTokens(within, name);
    }),
  enable: (within: Within, name: string) =>
    changed(within, { name, keepsAdmin: true }, () => operatorStore.setDisabled(within, name, null)),
});

/** Makes the change unless it would leave no admin who can log in. What it changed has no session any more. */
async function changed(
  within: Within,
  { name, keepsAdmin }: { readonly name: string; readonly keepsAdmin: boolean },
  apply: () => Promise<void>,
): Promise<Result<AccountView, AccountRefusal>> {
  const account = await operatorStore.account(within, name);
  if (!account) return fail("unknown");
  const isAdmin = account.role === "admin" && account.disabledAt === null;
  if (isAdmin && !keepsAdmin && (await operatorStore.adminsBeside(within, name)) === 0) return fail("last-admin");
  await apply();
  await operatorStore.removeSessions(within, name);
  const now = await operatorStore.account(within, name);
  return now ? ok(viewOf(now)) : fail("unknown");
}

function proofs({ store, clock, passwords }: AccountOptions) {
  const byName = createThrottle({ clock, free: FREE_BY_NAME });
  const byAddress = createThrottle({ clock, free: FREE_BY_ADDRESS });
  return {
    /** Outside any transaction, for it works long; as long for a name that nobody has. Throws Fault `queue.full`. */
    async prove({ name, password, address }: LogIn): Promise<Result<Proven, LogInRefusal>> {
      const waitSec = Math.max(byName.waitSec(name), byAddress.waitSec(address));
      if (waitSec > 0) return fail({ why: "throttled", waitSec });
      byName.charge(name);
      byAddress.charge(address);
      const kept = (await store.read((reading) => operatorStore.account(reading, name)))?.password;
      const fits = await passwords.fits(password, kept);
      return fits && kept !== undefined ? ok({ name, address, fitted: kept }) : fail({ why: "denied" });
    },

    /** Within the transaction of what was proven for: what became of the account while its password was tried counts. */
    async stillProven(reading: Reading, { name, address, fitted }: Proven): Promise<Result<AccountView, LogInRefusal>> {
      const account = await operatorStore.account(reading, name);
      if (!account || account.disabledAt !== null || account.password !== fitted) return fail({ why: "denied" });
      byName.forgive(name);
      byAddress.forgive(address);
      return ok(viewOf(account));
    },
  };
}

const viewOf = ({ name, role, createdAt, disabledAt }: AccountRow): AccountView => ({
  name,
  role,
  createdAt,
  ...(disabledAt === null ? {} : { disabledAt }),
});
