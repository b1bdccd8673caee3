/** Enrolment for customers' phones, what they say afterwards, and the operator's view of them, over HTTPS. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { Clock } from "../../../base/clock.ts";
import { isFault, reasonOf } from "../../../base/fault.ts";
import {
  AccountRefSchema,
  DeviceIdSchema,
  PHONE_BYTES_MAX,
  type PhoneAnswer,
  PhoneAnswerSchema,
  PhoneEnrolRequestSchema,
  type PhoneEnrolResponse,
  PhoneEnrolResponseSchema,
  phoneClaimText,
  UserIdSchema,
} from "../../../wire/phone.ts";
import { type Signed, SignedSchema } from "../../../wire/signing.ts";
import { PHONE_ENROL_PATH, PHONE_PATH } from "../../../wire/topics.ts";
import { ErrorSchema, HttpRefusal, isoTime, jsonSchema, LimitSchema, parseInput, refuseWaiting } from "../../http.ts";
import { createRateLimit } from "../../rate-limit.ts";
import type { HubStore, Reading } from "../../store/store.ts";
import type { PayerDevice, Payers } from "./service.ts";

export interface PayerRouteParts {
  readonly store: HubStore;
  readonly payers: Payers;
  readonly clock: Clock;
  readonly hubSigningKey: string;
  readonly claimHours: number;
  /** Sends new leases to the terminals that are connected: they hear whom to refuse. */
  readonly renewal: { all(): void };
  address(): { readonly httpsUrl: string; readonly caCertificate: string; readonly caFingerprint: string };
  /** Whether there is such an account, and a customer's. */
  isCustomer(reading: Reading, accountId: string): Promise<boolean>;
  /** `admit` throws for a phone that asks too often, once it is known that the phone itself does. */
  receive(signed: Signed, admit: (deviceId: string) => void): Promise<PhoneAnswer>;
  /** Somebody sent what no phone of this hub signed. */
  refused(source: string, error: unknown): void;
}

const PhoneShape = z.object({
  deviceId: z.string(),
  userId: z.string(),
  accountId: z.string(),
  name: z.string().optional(),
  status: z.enum(["active", "blocked"]),
  createdAt: z.string(),
});
const PhonesShape = z.object({ phones: z.array(PhoneShape), cursor: z.string().optional() });
const PhoneQuery = z.strictObject({ cursor: z.string().max(64).optional(), limit: LimitSchema });
const ClaimBody = z.strictObject({
  userId: UserIdSchema,
  accountId: AccountRefSchema,
  name: z.string().min(1).max(64).optional(),
  hours: z.number().min(0.01).max(720).optional(),
});
const ClaimShape = z.object({ claim: z.string(), userId: z.string(), expiresAt: z.string() });
const BlockBody = z.strictObject({ deviceId: DeviceIdSchema, status: z.enum(["active", "blocked"]) });

const HOUR_MS = 3_600_000;
const ENROL_STATUS = { E_UNKNOWN: 401, E_USED: 409, E_EXPIRED: 410, E_FORMAT: 400 } as const;
/** Requests that one address may make at once, and each minute afterwards. A shop's customers share one. */
const REQUESTS_BURST = 60;
const REQUESTS_PER_MINUTE = 240;
/** The same for one phone, wherever it is. */
const PHONE_BURST = 30;
const PHONE_PER_MINUTE = 120;

/** Open to whoever holds a claim, or a key that was enrolled with one. */
export function registerPhoneRoutes(app: FastifyInstance, parts: PayerRouteParts): void {
  const limit = createRateLimit({ clock: parts.clock, burst: REQUESTS_BURST, perMinute: REQUESTS_PER_MINUTE });
  const byPhone = createRateLimit({ clock: parts.clock, burst: PHONE_BURST, perMinute: PHONE_PER_MINUTE });
  app.addHook("onRequest", async (request) => refuseWaiting(limit(request.ip)));
  app.post(
    PHONE_ENROL_PATH,
    {
      bodyLimit: PHONE_BYTES_MAX,
      schema: {
        summary: "Enrols a customer's phone by its one-time claim",
        body: jsonSchema(PhoneEnrolRequestSchema),
        response: { 200: jsonSchema(PhoneEnrolResponseSchema) },
      },
    },
    async (request): Promise<PhoneEnrolResponse> => {
      const asked = parseInput(PhoneEnrolRequestSchema, request.body);
      const enrolled = await parts.store.transaction((within) => parts.payers.enrol(within, asked));
      if (!enrolled.ok) {
        const { reason, detail } = enrolled.error;
        throw new HttpRefusal(ENROL_STATUS[reason], reason, detail);
      }
      const { deviceId, userId, accountId } = enrolled.value;
      const { httpsUrl, caCertificate } = parts.address();
      const { hubSigningKey } = parts;
      return { deviceId, userId, accountRef: accountId, caCertificate, httpsUrl, hubSigningKey };
    },
  );
  app.post(
    PHONE_PATH,
    {
      bodyLimit: PHONE_BYTES_MAX,
      schema: {
        summary: "What an enrolled phone signed: registers codes, asks for notices",
        body: jsonSchema(SignedSchema),
        response: { 200: jsonSchema(PhoneAnswerSchema), 401: jsonSchema(ErrorSchema) },
      },
    },
    async (request): Promise<PhoneAnswer> => {
      const signed = parseInput(SignedSchema, request.body);
      try {
        return await parts.receive(signed, (deviceId) => refuseWaiting(byPhone(deviceId)));
      } catch (error) {
        throw refusalOf(error, () => parts.refused(request.ip, error));
      }
    },
  );
}

function refusalOf(error: unknown, note: () => void): unknown {
  const reason = reasonOf(error);
  if (isFault(error, "message.invalid")) return new HttpRefusal(400, "E_FORMAT", reason, "text");
  if (!isFault(error, "signature.invalid", "identity.invalid")) return error;
  note();
  return new HttpRefusal(401, isFault(error, "signature.invalid") ? "E_SIG" : "E_UNKNOWN", reason);
}

export function registerPayerRoutes(app: FastifyInstance, parts: PayerRouteParts): void {
  const security = [{ operator: [] }];
  app.get(
    "/v1/phones",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Customers' phones",
        querystring: jsonSchema(PhoneQuery),
        response: { 200: jsonSchema(PhonesShape) },
        security,
      },
    },
    async (request) => {
      const { cursor: after = "", limit } = parseInput(PhoneQuery, request.query);
      const found = await parts.store.read((reading) => parts.payers.devices(reading, { after, limit }));
      const last = found.length === limit ? found.at(-1) : undefined;
      return { phones: found.map(showPhone), ...(last ? { cursor: last.deviceId } : {}) };
    },
  );
  app.post(
    "/v1/phones/claims",
    {
      config: { role: "operator", named: ["body.userId", "body.accountId", "answer.expiresAt"] },
      schema: {
        summary: "Makes a claim: the one line that lets a customer's phone enrol, once and for a limited time",
        body: jsonSchema(ClaimBody),
        response: { 201: jsonSchema(ClaimShape) },
        security,
      },
    },
    async (request, reply) => {
      const { userId, accountId, name, hours = parts.claimHours } = parseInput(ClaimBody, request.body);
      const { httpsUrl: hub, caFingerprint } = parts.address();
      void reply.code(201);
      return await request.change(async (within) => {
        if (!(await parts.isCustomer(within, accountId)))
          throw new HttpRefusal(
            404,
            "E_UNKNOWN",
            `accountId: there is no customer's account ${accountId}`,
            "accountId",
          );
        const asked = { userId, accountId, name, validMs: hours * HOUR_MS };
        const { claimId, secret, expiresAt } = await parts.payers.createClaim(within, asked);
        const claim = phoneClaimText({ hub, userId, claimId, secret, caFingerprint });
        return { claim, userId, expiresAt: isoTime(expiresAt) };
      });
    },
  );
  app.post(
    "/v1/phones/status",
    {
      config: { role: "operator", named: ["body.deviceId", "body.status"] },
      schema: {
        summary:
          "Blocks a phone, or lifts the block: its codes pay nothing, and no terminal that heard of it takes its notes",
        body: jsonSchema(BlockBody),
        response: { 200: jsonSchema(BlockBody) },
        security,
      },
    },
    async (request) => {
      const { deviceId, status } = parseInput(BlockBody, request.body);
      const answer = await request.change(async (within) => {
        if (await parts.payers.setStatus(within, deviceId, status)) return { deviceId, status };
        throw new HttpRefusal(404, "E_UNKNOWN", `deviceId: there is no phone ${deviceId}`, "deviceId");
      });
      parts.renewal.all();
      return answer;
    },
  );
}

const showPhone = (device: PayerDevice): z.output<typeof PhoneShape> => ({
  deviceId: device.deviceId,
  userId: device.userId,
  accountId: device.accountId,
  ...(device.name === undefined ? {} : { name: device.name }),
  status: device.status,
  createdAt: isoTime(device.createdAt),
});
