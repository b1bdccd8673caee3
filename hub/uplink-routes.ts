/** What terminals do over HTTPS under their certificates: the envelopes of the uplink, and the next certificate. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Clock } from "../base/clock.ts";
import { reasonOf } from "../base/fault.ts";
import type { DownEnvelope } from "../wire/envelope.ts";
import { UpEnvelopeSchema } from "../wire/envelope.ts";
import { type IssuedCertificate, RenewalRequestSchema, RenewalResponseSchema } from "../wire/terminal.ts";
import { CERTIFICATE_PATH, UPLINK_PATH } from "../wire/topics.ts";
import { bearerOf, ErrorSchema, HttpRefusal, jsonSchema, parseInput, refuseWaiting } from "./http.ts";
import type { HubCore } from "./hub-core.ts";
import { createRateLimit } from "./rate-limit.ts";
import { type Refusals, refusalOf } from "./refusals.ts";
import {
  type Admitted,
  foreignWords,
  LATE,
  type ShownBy,
  type TerminalDoor,
  type TurnedAway,
} from "./terminal-door.ts";

interface Parts {
  readonly clock: Clock;
  readonly hub: HubCore;
  readonly door: TerminalDoor;
  readonly refusals: Refusals;
}

/** Messages of one terminal: a journal drains by some tens of batches a second. */
const TERMINAL_BURST = 1_000;
const TERMINAL_PER_MINUTE = 6_000;

type Limited = Parts & { readonly limit: (terminalId: string) => number };

export function registerTerminalDoorRoutes(app: FastifyInstance, options: Parts): void {
  const { clock, hub, door, refusals } = options;
  const limit = createRateLimit({ clock, burst: TERMINAL_BURST, perMinute: TERMINAL_PER_MINUTE });
  const parts: Limited = { clock, hub, door, refusals, limit };
  app.post(
    UPLINK_PATH,
    {
      schema: {
        summary: "What a terminal sends where MQTT is blocked, under its certificate",
        body: jsonSchema(UpEnvelopeSchema),
        response: { 400: jsonSchema(ErrorSchema) },
      },
    },
    (request) => uplink(parts, request),
  );
  app.post(
    CERTIFICATE_PATH,
    {
      schema: {
        summary: "A terminal's next certificate, under the present one",
        body: jsonSchema(RenewalRequestSchema),
        response: { 200: jsonSchema(RenewalResponseSchema) },
      },
    },
    (request) => renewal(parts, request),
  );
}

/** An envelope in, its answers out, after the commit. */
async function uplink(
  { hub, door, refusals, clock, limit }: Limited,
  request: FastifyRequest,
): Promise<{ messages: readonly DownEnvelope[] }> {
  const arrivedAt = clock.now();
  const { terminalId, standing } = await admit(door, refusals, request);
  let envelope: ReturnType<typeof UpEnvelopeSchema.parse>;
  try {
    envelope = parseInput(UpEnvelopeSchema, request.body);
  } catch (error) {
    refusals.note(terminalId, "malformed", { why: reasonOf(error) });
    throw error;
  }
  if (envelope.terminalId !== terminalId)
    refuse(refusals, request, {
      turned: { ...foreignWords(terminalId, envelope.terminalId), terminalId },
      status: 403,
    });
  if (standing === "late" && envelope.type !== "advice.batch")
    refuse(refusals, request, { turned: { ...LATE, terminalId }, status: 403, code: "E_EXPIRED" });
  refuseWaiting(limit(terminalId));
  try {
    return { messages: await hub.receive(envelope, arrivedAt) };
  } catch (error) {
    const reason = refusalOf(error);
    if (reason === undefined) throw error;
    refusals.note(terminalId, reason, { why: reasonOf(error) });
    if (reason === "revoked") throw new HttpRefusal(403, "E_DENIED", reasonOf(error));
    if (reason === "fence") throw new HttpRefusal(409, "E_STALE", reasonOf(error), "body.fence");
    if (reason === "signature") throw new HttpRefusal(400, "E_SIG", reasonOf(error), "body.signature");
    throw new HttpRefusal(400, "E_FORMAT", reasonOf(error), "body");
  }
}

async function renewal(
  { hub, door, refusals, limit }: Limited,
  request: FastifyRequest,
): Promise<{ certificate: IssuedCertificate }> {
  const wanted = parseInput(RenewalRequestSchema, request.body);
  const { terminalId } = wanted;
  // Where no certificate is shown, the secret of an earlier version is good for the first one, and for nothing else.
  const bearer = bearerOf(request.headers.authorization);
  const byBearer =
    bearer !== undefined &&
    !shown(request) &&
    (await hub.store.read((reading) => hub.terminals.holdsBearer(reading, terminalId, bearer)));
  const who = byBearer ? { terminalId } : await admit(door, refusals, request);
  if (who.terminalId !== terminalId)
    refuse(refusals, request, { turned: { ...foreignWords(who.terminalId, terminalId), ...who }, status: 403 });
  refuseWaiting(limit(terminalId));
  const renewed = await door.renew(wanted, byBearer ? { bearer } : { connection: connectionOf(request) });
  if (renewed.ok) return { certificate: renewed.value };
  const { error } = renewed;
  if (typeof error === "string") throw new HttpRefusal(400, "E_FORMAT", error, "csr");
  return refuse(refusals, request, { turned: error, status: error.reason === "revoked" ? 403 : 401 });
}

const connectionOf = (request: FastifyRequest): ShownBy => request.raw.socket as unknown as ShownBy;
const shown = (request: FastifyRequest): boolean => connectionOf(request).getPeerX509Certificate() !== undefined;

async function admit(door: TerminalDoor, refusals: Refusals, request: FastifyRequest): Promise<Admitted> {
  const admitted = await door.admit(connectionOf(request));
  return admitted.ok ? admitted.value : refuse(refusals, request, { turned: admitted.error, status: 401 });
}

interface Refusal {
  readonly turned: TurnedAway;
  readonly status: 401 | 403;
  readonly code?: "E_DENIED" | "E_EXPIRED";
}

function refuse(refusals: Refusals, request: FastifyRequest, { turned, status, code = "E_DENIED" }: Refusal): never {
  const { reason, words, terminalId } = turned;
  refusals.note(terminalId ?? request.ip, reason, { why: words, from: request.ip });
  throw new HttpRefusal(status, code, words);
}
