/** The operator's view of pre-authorised codes. */
import { z } from "zod";
import { UserIdSchema } from "../../../wire/phone.ts";
import { HttpRefusal, isoTime, LimitSchema, parseInput } from "../../http.ts";
import type { OperatorRoute } from "../../service.ts";
import type { PreAuthorisedCodes } from "./service.ts";
import type { GrantRow } from "./store.ts";

const GrantShape = z.object({
  grantId: z.string(),
  userId: z.string(),
  deviceId: z.string(),
  accountId: z.string(),
  cap: z.object({ minor: z.string(), currency: z.string() }),
  status: z.enum(["ISSUED", "RESERVED", "USED", "EXPIRED", "REVOKED"]),
  terminalId: z.string().optional(),
  txnId: z.string().optional(),
  issuedAt: z.string(),
  expiresAt: z.string(),
  wrongCodes: z.int().describe("shown for this user since the last payment or revocation"),
});
const GrantsShape = z.object({ grants: z.array(GrantShape), cursor: z.string().optional() });
const GrantQuery = z.strictObject({
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, "not a cursor that this list gave")
    .optional(),
  limit: LimitSchema,
});
const RevokeBody = z.strictObject({ userId: UserIdSchema });

export const operatorRoutes = (service: PreAuthorisedCodes): readonly OperatorRoute[] => [
  {
    method: "GET",
    path: "/v1/pre-authorised-code/grants",
    role: "viewer",
    summary: "Codes that phones registered, oldest first; the codes themselves are kept nowhere",
    query: GrantQuery,
    answer: GrantsShape,
    status: 200,
    async handle({ query }, reading) {
      const { cursor, limit } = parseInput(GrantQuery, query);
      const found = await service.grants(reading, { afterNumber: Number(cursor ?? 0), limit });
      const last = found.length === limit ? found.at(-1) : undefined;
      const grants: z.output<typeof GrantShape>[] = [];
      for (const grant of found) grants.push(showGrant(grant, await service.wrongCodes(reading, grant.userId)));
      return { grants, ...(last ? { cursor: String(last.number) } : {}) };
    },
  },
  {
    method: "POST",
    path: "/v1/pre-authorised-code/revoke",
    role: "operator",
    named: ["body.userId"],
    summary: "Revokes all codes of a user; what is paid already stays paid",
    body: RevokeBody,
    answer: RevokeBody,
    status: 200,
    async handle({ body }, within) {
      const { userId } = parseInput(RevokeBody, body);
      if (!(await service.revoke(within, userId)))
        throw new HttpRefusal(404, "E_UNKNOWN", `userId: no phone of a user ${userId} is enrolled`, "userId");
      return { userId };
    },
  },
];

const showGrant = (grant: GrantRow, wrongCodes: number): z.output<typeof GrantShape> => ({
  grantId: grant.grantId,
  userId: grant.userId,
  deviceId: grant.deviceId,
  accountId: grant.accountId,
  cap: { minor: String(grant.capMinor), currency: grant.currency },
  status: grant.status,
  ...(grant.terminalId === null ? {} : { terminalId: grant.terminalId }),
  ...(grant.paymentId === null ? {} : { txnId: grant.paymentId }),
  issuedAt: isoTime(grant.issuedAt),
  expiresAt: isoTime(grant.expiresAt),
  wrongCodes,
});
