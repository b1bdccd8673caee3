/** The operator's view of offline notes: what is staged, and what was spent twice. */
import { z } from "zod";
import { isoTime, LimitSchema, parseInput } from "../../http.ts";
import type { OperatorRoute } from "../../service.ts";
import { stagedAccount } from "./allowances.ts";
import { type AllowanceRow, type ConflictRow, noteStore } from "./store.ts";

const AllowanceShape = z.object({
  allowanceId: z.string(),
  deviceId: z.string(),
  userId: z.string().optional(),
  accountId: z.string().optional(),
  stagedAccount: z.string(),
  amount: z.object({ minor: z.string(), currency: z.string() }),
  state: z.enum(["active", "returned", "closed"]),
  spentMinor: z.string().describe("as far as notes have come"),
  issuedAt: z.string(),
  expiresAt: z.string(),
});
const AllowancesShape = z.object({ allowances: z.array(AllowanceShape), cursor: z.string().optional() });
const AllowanceQuery = z.strictObject({ cursor: z.string().max(64).optional(), limit: LimitSchema });

const PaymentShape = z.object({ terminalId: z.string(), paymentId: z.string(), minor: z.string() });
const ConflictShape = z.object({
  kind: z.enum(["same-counter", "broken-chain", "after-return"]),
  deviceId: z.string(),
  userId: z.string().optional(),
  allowanceId: z.string(),
  counter: z.int(),
  currency: z.string(),
  payment: PaymentShape,
  other: PaymentShape.optional().describe("absent where the phone had signed that it made no such note"),
  exposure: z
    .object({ minor: z.string(), party: z.string() })
    .describe("what the staged value did not cover, and who bears it"),
  foundAt: z.string(),
});
const ConflictsShape = z.object({ conflicts: z.array(ConflictShape), cursor: z.string().optional() });
const ConflictQuery = z.strictObject({
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, "not a cursor that this list gave")
    .optional(),
  limit: LimitSchema,
});

export const operatorRoutes: readonly OperatorRoute[] = [
  {
    method: "GET",
    path: "/v1/offline-notes/allowances",
    role: "viewer",
    summary: "Value that phones may spend with no hub in reach",
    query: AllowanceQuery,
    answer: AllowancesShape,
    status: 200,
    async handle({ query }, reading) {
      const { cursor = "", limit } = parseInput(AllowanceQuery, query);
      const found = await noteStore.allowances(reading, cursor, limit);
      const last = found.length === limit ? found.at(-1) : undefined;
      const allowances: z.output<typeof AllowanceShape>[] = [];
      for (const row of found) {
        const spent = await noteStore.spent(reading, row.allowanceId);
        allowances.push(showAllowance(row, spent?.spentAfter ?? 0));
      }
      return { allowances, ...(last ? { cursor: last.allowanceId } : {}) };
    },
  },
  {
    method: "GET",
    path: "/v1/offline-notes/conflicts",
    role: "viewer",
    summary: "Value that was spent twice: which phone, at which two payments, and who bears it",
    query: ConflictQuery,
    answer: ConflictsShape,
    status: 200,
    async handle({ query }, reading) {
      const { cursor, limit } = parseInput(ConflictQuery, query);
      const found = await noteStore.conflicts(reading, Number(cursor ?? 0), limit);
      const last = found.length === limit ? found.at(-1) : undefined;
      return { conflicts: found.map(showConflict), ...(last ? { cursor: String(last.number) } : {}) };
    },
  },
];

const showAllowance = (row: AllowanceRow, spentMinor: number): z.output<typeof AllowanceShape> => ({
  allowanceId: row.allowanceId,
  deviceId: row.deviceId,
  ...(row.userId === null ? {} : { userId: row.userId }),
  ...(row.accountId === null ? {} : { accountId: row.accountId }),
  stagedAccount: stagedAccount(row.allowanceId),
  amount: { minor: String(row.minor), currency: row.currency },
  state: row.state,
  spentMinor: String(spentMinor),
  issuedAt: isoTime(row.issuedAt),
  expiresAt: isoTime(row.expiresAt),
});

const showConflict = (row: ConflictRow): z.output<typeof ConflictShape> => ({
  kind: row.kind,
  deviceId: row.deviceId,
  ...(row.userId === null ? {} : { userId: row.userId }),
  allowanceId: row.allowanceId,
  counter: row.counter,
  currency: row.currency,
  payment: { terminalId: row.terminalId, paymentId: row.paymentId, minor: String(row.minor) },
  ...(row.otherTerminalId === null || row.otherPaymentId === null
    ? {}
    : {
        other: {
          terminalId: row.otherTerminalId,
          paymentId: row.otherPaymentId,
          minor: String(row.otherMinor ?? 0),
        },
      }),
  exposure: { minor: String(row.exposureMinor), party: row.exposureParty },
  foundAt: isoTime(row.at),
});
