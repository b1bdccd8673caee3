/** Refusals of the local API as HTTP answers: a status, a reason code, the field where there is one, and a sentence. */
import type { FastifyReply } from "fastify";
import type { z } from "zod";
import { isFault } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import type { ReasonCode } from "../../wire/common.ts";
import type {
  CancelRefusal,
  ReprintRefusal,
  SignatureRefusal,
  StartRefusal,
  VoidRefusal,
} from "../payment/payments.ts";
import type { ErrorJson } from "./api-schemas.ts";

export interface ApiError {
  readonly status: number;
  readonly code: ReasonCode;
  readonly path?: string;
  readonly message: string;
}

export function refuse(reply: FastifyReply, { status, ...error }: ApiError): ErrorJson {
  reply.status(status);
  return { error };
}

type Refusal = StartRefusal | CancelRefusal | VoidRefusal | ReprintRefusal | SignatureRefusal;
type DetailedWhy = Exclude<Refusal["why"], "conflict">;

const STATUS: Readonly<Record<DetailedWhy, readonly [status: number, code: ReasonCode]>> = {
  "not-found": [404, "E_UNKNOWN"],
  "too-late": [409, "E_STATE"],
  busy: [409, "E_LIMIT"],
  "not-approved": [409, "E_STATE"],
  forwarding: [409, "E_STATE"],
  "already-processed": [409, "E_STATE"],
  "nothing-to-print": [409, "E_STATE"],
  "no-printer": [409, "E_UNAVAILABLE"],
  "not-asked": [409, "E_STATE"],
  answered: [409, "E_STATE"],
  expired: [409, "E_EXPIRED"],
  "not-allowed": [422, "E_DENIED"],
  "too-much": [422, "E_LIMIT"],
  draining: [503, "E_UNAVAILABLE"],
};

export function refusalError(refusal: Refusal): ApiError {
  if (refusal.why === "conflict") {
    return {
      status: 409,
      code: "E_CONFLICT",
      path: refusal.field,
      message: `a payment with this id exists with another ${refusal.field}; use a new id`,
    };
  }
  const [status, code] = STATUS[refusal.why];
  const path = "field" in refusal && refusal.field !== undefined ? { path: refusal.field } : {};
  return { status, code, ...path, message: refusal.detail };
}

/** The first thing wrong with a body, a query or a parameter. */
export function formatError(error: z.ZodError): ApiError {
  const issue = error.issues[0];
  if (issue === undefined) return { status: 400, code: "E_FORMAT", message: "is not valid" };
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0] ?? "";
    return {
      status: 400,
      code: "E_FORMAT",
      path: [...issue.path, key].join("."),
      message: "is not a field of this request",
    };
  }
  return { status: 400, code: "E_FORMAT", path: issue.path.join("."), message: issue.message };
}

/** The parsed value; else the refusal has been sent. */
export function parse<Schema extends z.ZodType>(
  reply: FastifyReply,
  schema: Schema,
  input: unknown,
): z.output<Schema> | undefined {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  void reply.send(refuse(reply, formatError(parsed.error)));
  return undefined;
}

/** What was thrown on the way: the framework's own refusals of a request, operating errors, and bugs. */
export function thrownError(error: unknown, log: Log): ApiError {
  const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
  if (status >= 400 && status < 500) {
    return { status, code: "E_FORMAT", path: "", message: error instanceof Error ? error.message : "not a request" };
  }
  if (isFault(error)) {
    log.error("a request failed", { code: error.code, reason: error.message });
    return { status: 503, code: "E_UNAVAILABLE", message: error.message };
  }
  log.error("a request failed by a bug", { reason: error instanceof Error ? error.stack : String(error) });
  return { status: 500, code: "E_UNAVAILABLE", message: "an internal error; it is in the agent's log" };
}
