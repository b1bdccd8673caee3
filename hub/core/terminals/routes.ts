/** Enrolment for terminals, and the operator's view of them, over HTTPS. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { toBase64 } from "../../../base/bytes.ts";
import type { Epoch } from "../../../base/ids.ts";
import type { Result } from "../../../base/result.ts";
import { TerminalIdSchema } from "../../../wire/common.ts";
import {
  claimText,
  type EnrolRequest,
  EnrolRequestSchema,
  type EnrolResponse,
  EnrolResponseSchema,
  type IssuedCertificate,
} from "../../../wire/terminal.ts";
import { ENROL_PATH } from "../../../wire/topics.ts";
import { HttpRefusal, isoTime, jsonSchema, LimitSchema, parseInput } from "../../http.ts";
import type { SealingRing } from "../../sealing-ring.ts";
import type { HubStore, Reading } from "../../store/store.ts";
import type { Enrolled, EnrolRefusal } from "./enrolment.ts";
import type { Taken } from "./journals.ts";
import type { LeaseRun } from "./leases.ts";
import type { Terminals, TerminalView } from "./service.ts";

/** Certificates for claims. */
export interface EnrolDesk {
  enrol(request: EnrolRequest): Promise<Result<Enrolled & { readonly certificate: IssuedCertificate }, EnrolRefusal>>;
}

/** What an enrolled terminal is told of the hub, and what a claim says of it. */
export interface HubAddress {
  readonly httpsUrl: string;
  readonly mqttUrl: string;
  readonly caCertificate: string;
  readonly caFingerprint: string;
}

/** What others know of a terminal: its epochs from ingest, its connection from the gateway. */
export interface TerminalFacts {
  readonly connected: boolean;
  readonly epochs: readonly {
    readonly epoch: string;
    readonly watermark: number;
    readonly firstSeenAt: number;
    readonly ahead: readonly number[];
  }[];
  /** What is wrong with its journals, as far as nobody has closed it. */
  readonly findings: readonly { readonly kind: string; readonly epoch: string; readonly detail: string }[];
}

export interface TerminalRouteParts {
  readonly store: HubStore;
  readonly terminals: Terminals;
  readonly keys: Pick<EnrolResponse, "hubSigningKey" | "sealingKey">;
  readonly claimHours: number;
  readonly sealing: Pick<SealingRing, "all" | "keyId" | "remove">;
  /** Tells terminals of leases that say something new. */
  readonly renewal: { one(terminalId: TerminalView["id"]): void; all(): void };
  /** Of a box that may not speak any more: its terminal was revoked, or enrolled again. */
  endSessions(terminalId: TerminalView["id"]): void;
  takenOf(reading: Reading, terminalId: TerminalView["id"], epoch: Epoch): Promise<Taken>;
  address(): HubAddress;
  factsOf(reading: Reading, terminalId: TerminalView["id"]): Promise<TerminalFacts>;
}

export const TerminalShape = z.object({
  terminalId: z.string(),
  connected: z.boolean(),
  enrolledAt: z.string(),
  lastSeenAt: z.string().optional(),
  revokedAt: z.string().optional(),
  leaseCounter: z.int(),
  lease: z
    .object({
      counter: z.int(),
      epoch: z.string(),
      currency: z.string(),
      sumMinor: z.string(),
      issuedAt: z.string(),
      expiresAt: z.string(),
      sealingKeyId: z.string(),
    })
    .optional()
    .describe("the last one given; it may have ended"),
  outstanding: z.object({ count: z.int(), minor: z.string() }).optional().describe("as it last told"),
  findings: z.int().describe("open ones"),
  presence: z.unknown().optional(),
  health: z.unknown().optional(),
  epochs: z.array(
    z.object({
      epoch: z.string(),
      watermark: z.int().describe("every forwarded entry up to this number is held"),
      ahead: z.array(z.int()).describe("numbers held above the watermark; those between are missing"),
      firstSeenAt: z.string(),
    }),
  ),
});
const TerminalsShape = z.object({ terminals: z.array(TerminalShape), cursor: z.string().optional() });
const TerminalQuery = z.strictObject({ cursor: z.string().max(64).optional(), limit: LimitSchema });
const ClaimBody = z.strictObject({ hours: z.number().min(0.01).max(720).optional() });
const ClaimShape = z.object({ claim: z.string(), terminalId: z.string(), expiresAt: z.string() });
const ClaimParams = z.strictObject({ id: TerminalIdSchema });

const HOUR_MS = 3_600_000;
const ENROL_STATUS = { E_UNKNOWN: 401, E_USED: 409, E_EXPIRED: 410, E_FORMAT: 400, E_DENIED: 403 } as const;

export interface EnrolParts {
  readonly desk: EnrolDesk;
  /** Called with each claim that is refused. */
  refused(source: string, why: EnrolRefusal): void;
}

/** Open to whoever holds a claim. */
export function registerEnrolRoute(
  app: FastifyInstance,
  parts: TerminalRouteParts,
  { desk, refused }: EnrolParts,
): void {
  app.post(
    ENROL_PATH,
    {
      schema: {
        summary: "Enrols a terminal by its one-time claim",
        body: jsonSchema(EnrolRequestSchema),
        response: { 200: jsonSchema(EnrolResponseSchema) },
      },
    },
    async (request): Promise<EnrolResponse> => {
      const enrolled = await desk.enrol(parseInput(EnrolRequestSchema, request.body));
      if (!enrolled.ok) {
        const { reason, detail } = enrolled.error;
        refused(request.ip, enrolled.error);
        throw new HttpRefusal(ENROL_STATUS[reason], reason, detail);
      }
      const { mqttUrl, httpsUrl, caCertificate } = parts.address();
      const { terminalId, certificate, cardTokenKey } = enrolled.value;
      parts.endSessions(terminalId);
      const { hubSigningKey, sealingKey } = parts.keys;
      const key = toBase64(cardTokenKey);
      return {
        terminalId,
        certificate,
        caCertificate,
        mqttUrl,
        httpsUrl,
        hubSigningKey,
        sealingKey,
        cardTokenKey: key,
      };
    },
  );
}

export function registerTerminalRoutes(app: FastifyInstance, parts: TerminalRouteParts): void {
  const security = [{ operator: [] }];
  app.get(
    "/v1/terminals",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Enrolled terminals: connection, presence, and what of their journals is held",
        querystring: jsonSchema(TerminalQuery),
        response: { 200: jsonSchema(TerminalsShape) },
        security,
      },
    },
    async (request) => {
      const query = parseInput(TerminalQuery, request.query);
      const page = { after: query.cursor ?? "", limit: query.limit };
      return await parts.store.read(async (reading) => {
        const found = await parts.terminals.list(reading, page);
        const last = found.length === query.limit ? found.at(-1) : undefined;
        const terminals: z.output<typeof TerminalShape>[] = [];
        for (const view of found) terminals.push(await showTerminal(reading, parts, view));
        return { terminals, ...(last ? { cursor: last.id } : {}) };
      });
    },
  );
  app.post(
    "/v1/terminals/:id/claims",
    {
      config: { role: "operator", named: ["body.hours", "answer.expiresAt"] },
      schema: {
        summary: "Makes a claim: the one line that lets a terminal enrol, once and for a limited time",
        params: { type: "object", properties: { id: { type: "string" } } },
        body: jsonSchema(ClaimBody),
        response: { 201: jsonSchema(ClaimShape) },
        security,
      },
    },
    async (request, reply) => {
      const { id } = parseInput(ClaimParams, request.params);
      const { hours = parts.claimHours } = parseInput(ClaimBody, request.body ?? {});
      const { httpsUrl: hub, caFingerprint } = parts.address();
      void reply.code(201);
      return await request.change(async (within) => {
        const asked = { terminalId: id, validMs: hours * HOUR_MS };
        const { claimId, secret, expiresAt } = await parts.terminals.createClaim(within, asked);
        const claim = claimText({ hub, terminalId: id, claimId, secret, caFingerprint });
        return { claim, terminalId: id, expiresAt: isoTime(expiresAt) };
      });
    },
  );
}

export async function showTerminal(
  reading: Reading,
  parts: TerminalRouteParts,
  view: TerminalView,
): Promise<z.output<typeof TerminalShape>> {
  const facts = await parts.factsOf(reading, view.id);
  const lease = await parts.terminals.newestLease(reading, view.id);
  const outstanding = view.presence?.outstanding;
  return {
    terminalId: view.id,
    connected: facts.connected,
    enrolledAt: isoTime(view.enrolledAt),
    ...(view.lastSeenAt === undefined ? {} : { lastSeenAt: isoTime(view.lastSeenAt) }),
    ...(view.revokedAt === undefined ? {} : { revokedAt: isoTime(view.revokedAt) }),
    leaseCounter: view.leaseCounter,
    ...(lease && { lease: showLease(lease) }),
    ...(outstanding && { outstanding }),
    findings: facts.findings.length,
    ...showTold(view, facts),
  };
}

const showLease = ({ lastCounter, epoch, currency, sumMinor, issuedAt, expiresAt, sealingKeyId }: LeaseRun) => ({
  counter: lastCounter,
  epoch,
  currency,
  sumMinor: sumMinor.toString(),
  issuedAt: isoTime(issuedAt),
  expiresAt: isoTime(expiresAt),
  sealingKeyId,
});

const showTold = (view: TerminalView, facts: TerminalFacts) => ({
  ...(view.presence === undefined ? {} : { presence: view.presence }),
  ...(view.health === undefined ? {} : { health: view.health }),
  epochs: facts.epochs.map(({ epoch, watermark, ahead, firstSeenAt }) => ({
    epoch,
    watermark,
    ahead: [...ahead],
    firstSeenAt: isoTime(firstSeenAt),
  })),
});
