/** What every HTTPS route of the hub shares: refusals with a path, zod for what comes in, JSON Schema for the documents. */
import { hash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import type { ReasonCode } from "../wire/common.ts";

/** A refusal with its HTTP status; the body is `{code, message, path?}`. */
export class HttpRefusal extends Error {
  readonly status: number;
  readonly code: ReasonCode;
  /** The field that is wrong. */
  readonly path: string | undefined;

  constructor(status: number, code: ReasonCode, message: string, path?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.path = path;
  }
}

/** A refusal of somebody who asks too often; he is told in `Retry-After` when to come again. */
export class TooOften extends HttpRefusal {
  readonly retryAfterSec: number;

  constructor(retryAfterSec: number) {
    super(429, "E_LIMIT", `too many requests; come again in ${retryAfterSec} s`);
    this.retryAfterSec = retryAfterSec;
  }
}

/** Throws TooOften unless there is nothing to wait for. */
export function refuseWaiting(waitSec: number): void {
  if (waitSec > 0) throw new TooOften(waitSec);
}

/** The value, or a 400 that names the path of the first wrong field. */
export function parseInput<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const extra = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const path = [...(issue?.path ?? []), ...(extra === undefined ? [] : [extra])].join(".") || "(whole)";
  throw new HttpRefusal(400, "E_FORMAT", `${path}: ${issue?.message ?? "not valid"}`, path);
}

export function jsonSchema(schema: z.ZodType, io: "input" | "output" = "input"): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}

export const ErrorSchema = z.strictObject({
  code: z.string(),
  message: z.string(),
  path: z.string().optional(),
});

/** The secret of an `Authorization: Bearer` header. */
export function bearerOf(header: string | undefined): string | undefined {
  return /^Bearer ([\x21-\x7e]{1,256})$/.exec(header ?? "")?.[1];
}

export const sameSecret = (a: string, b: string): boolean =>
  timingSafeEqual(hash("sha256", a, "buffer"), hash("sha256", b, "buffer"));

export const PAGE_DEFAULT = 50;
export const PAGE_MAX = 500;
export const LimitSchema = z.coerce.number().int().min(1).max(PAGE_MAX).default(PAGE_DEFAULT);
export const isoTime = (ms: number): string => new Date(ms).toISOString();
