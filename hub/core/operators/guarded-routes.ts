/**
 * What stands before every route of the operator's API: who asks, how often, and with which role; and what is done with
 * each request that changes something: it is in the audit log with its change, and a repeat of it changes nothing.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod, RouteOptions } from "fastify";
import { assert } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import { reasonOf } from "../../../base/fault.ts";
import { bearerOf, HttpRefusal, refuseWaiting } from "../../http.ts";
import { createRateLimit } from "../../rate-limit.ts";
import type { Within } from "../../store/store.ts";
import type { AuditInput } from "./audit.ts";
import type { RepeatKey } from "./repeats.ts";
import { mayAct, type Operator, type Role } from "./roles.ts";
import type { Operators } from "./service.ts";

/** Declared beside path and schema, in `config`. */
export interface Guarded {
  readonly role: Role;
  /** Accounts are people's matter: an API token is refused, so that a stolen one makes no other. */
  readonly people?: true;
  /** It moves money, or makes some: `Idempotency-Key` must be given. */
  readonly idempotent?: true;
  /**
   * How a request that changes something is audited. whole (when not said): the handler makes its change by
   * `request.change`, whose transaction holds the entry too. steps: an entry before the work and one after it. none:
   * nothing that outlasts the request changes.
   */
  readonly audit?: "whole" | "steps" | "none";
  /** What of the request and the answer the audit log may show, such as `body.why`; path parameters always are. */
  readonly named?: readonly string[];
}

declare module "fastify" {
  interface FastifyContextConfig extends Partial<Guarded> {}
  interface FastifyRequest {
    operator?: Operator;
    /**
     * The one change of a request that is audited `whole`, in one transaction with its audit entry and the answer that a
     * repeat gets. `work` gives the answer, which is the handler's too; a throw undoes it. What follows from the change
     * elsewhere waits until this resolves.
     */
    change<T>(work: (within: Within) => Promise<T>): Promise<T>;
  }
}

export interface GuardParts {
  readonly operators: Operators;
  readonly clock: Clock;
  /** Somebody unknown asked. */
  refused(address: string): void;
}

const KEY_HEADER = "idempotency-key";
const KEY = /^[\x21-\x7e]{8,128}$/;
/** Of bodies that do not name a limit of their own. */
export const OPERATOR_BODY_BYTES_MAX = 65_536;
/** Requests of one operator or token: as fast as the hub imports a journal, and no faster. */
const REQUESTS_BURST = 1_000;
const REQUESTS_PER_MINUTE = 6_000;
/** Wrong bearers of one address. */
const STRANGER_BURST = 60;
const STRANGER_PER_MINUTE = 60;

/** For a scope whose routes are registered afterwards. A route that names no role stops the start. */
export function guardRoutes(scope: FastifyInstance, parts: GuardParts): void {
  const { operators, clock } = parts;
  const byIdentity = createRateLimit({ clock, burst: REQUESTS_BURST, perMinute: REQUESTS_PER_MINUTE });
  const strangers = createRateLimit({ clock, burst: STRANGER_BURST, perMinute: STRANGER_PER_MINUTE });
  scope.decorateRequest("change", () => {
    throw new Error("this route is not audited as a whole, and changes nothing by itself");
  });
  scope.addHook("onRoute", (route) => {
    const name = `${String(route.method)} ${route.url}`;
    const guarded = guardedOf(route.config, name);
    for (const schema of [route.schema?.body, route.schema?.querystring])
      assert(schema === undefined || isStrict(schema), `${name} takes what it does not know`);
    route.schema = { ...route.schema, description: needs(guarded) };
    route.bodyLimit ??= OPERATOR_BODY_BYTES_MAX;
    route.handler = guard(route, guarded, operators);
  });
  scope.addHook("onRequest", async (request) => {
    const bearer = bearerOf(request.headers.authorization);
    const operator = bearer === undefined ? undefined : await operators.authenticate(bearer);
    if (!operator) {
      parts.refused(request.ip);
      refuseWaiting(strangers(request.ip));
      throw new HttpRefusal(401, "E_DENIED", "log in, or show a token that is good: tillway hub login");
    }
    refuseWaiting(byIdentity(identityOf(operator)));
    request.operator = operator;
    const refusal = roleRefusal(operator, guardedOf(request.routeOptions.config, request.url));
    if (!refusal) return;
    await operators.refused.note({
      ...entryOf(request),
      outcome: "refused",
      status: refusal.status,
      reason: refusal.message,
    });
    throw refusal;
  });
}

/** Who asks; behind the guard somebody always does. */
export function operatorOf({ operator }: FastifyRequest): Operator {
  assert(operator !== undefined, "a route of the operator's API is guarded");
  return operator;
}

function guardedOf(config: Partial<Guarded> | undefined, route: string): Guarded {
  assert(config?.role !== undefined, `${route} names no role`);
  return { ...config, role: config.role };
}

/** Of a JSON Schema: nothing that it does not name comes in, at its first level. */
function isStrict(schema: unknown): boolean {
  const { additionalProperties, anyOf, oneOf }: Record<string, unknown> = Object(schema);
  const branches = anyOf ?? oneOf;
  return Array.isArray(branches) ? branches.every(isStrict) : additionalProperties === false;
}

/** For the documents. */
const needs = ({ role, people, idempotent }: Guarded): string =>
  [
    `Needs the role ${role}`,
    ...(people ? ["and a person who has logged in"] : []),
    ...(idempotent ? [`and an ${KEY_HEADER}`] : []),
  ].join(" ");

const identityOf = ({ name, by, credential }: Operator): string =>
  by === "token" ? `token:${credential ?? ""}` : `operator:${name}`;

function roleRefusal({ role, by }: Operator, guarded: Guarded): HttpRefusal | undefined {
  if (!mayAct(role, guarded.role))
    return new HttpRefusal(403, "E_DENIED", `this needs the role ${guarded.role}; you have the role ${role}`);
  if (guarded.people && by === "token")
    return new HttpRefusal(403, "E_DENIED", `this needs the role ${guarded.role} and a person: log in, no token does`);
  return undefined;
}

function guard(route: RouteOptions, guarded: Guarded, operators: Operators): RouteHandlerMethod {
  const { handler, schema } = route;
  const changes = !["GET", "HEAD"].includes(String(route.method)) && guarded.audit !== "none";
  return function guardedHandler(request, reply) {
    if (!schema?.body) refuseContent(request.body, "body");
    if (!schema?.querystring) refuseContent(request.query, "query");
    const work: Work = async () => await handler.call(this, request, reply);
    if (!changes) return work();
    const parts = { operators, request, reply, guarded, work };
    return guarded.audit === "steps" ? inSteps(parts) : inOneTransaction(parts);
  };
}

/** A route that takes nothing is told nothing. */
function refuseContent(content: unknown, path: string): void {
  if (content === undefined || content === null) return;
  if (typeof content === "object" && Object.keys(content).length === 0) return;
  throw new HttpRefusal(400, "E_FORMAT", `${path}: this request takes none`, path);
}

type Work = () => Promise<unknown>;

interface Audited {
  readonly operators: Operators;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly guarded: Guarded;
  readonly work: Work;
}

/** An entry before the work, so that what a crash breaks off is there too. */
async function inSteps(parts: Audited): Promise<unknown> {
  const { operators, work, request } = parts;
  const { store, audit } = operators;
  const begun = await store.transaction((within) => audit.append(within, { ...entryOf(request), outcome: "begun" }));
  try {
    const answer = await work();
    await store.transaction((within) => noteDone(within, parts, answer, begun));
    return answer;
  } catch (error) {
    await noteFailed(parts, error, begun);
    throw error;
  }
}

async function inOneTransaction(parts: Audited): Promise<unknown> {
  const { operators, guarded, request, work } = parts;
  let key: RepeatKey | undefined;
  let tried = false;
  let done = false;
  request.change = async (change) => {
    assert(!tried, "a request makes one change");
    tried = true;
    const answer = await operators.store.transaction((within) =>
      key ? once(within, { parts, key }, change) : noted(within, parts, change),
    );
    done = true;
    return answer;
  };
  try {
    key = guarded.idempotent && repeatKeyOf(request);
    const answer = await work();
    assert(done, `${request.routeOptions.url ?? ""} changes nothing by request.change; say how it is audited`);
    return answer;
  } catch (error) {
    // What was done has its entry, whatever went wrong afterwards.
    if (!done) await noteFailed(parts, error);
    throw error;
  }
}

type Change<T> = (within: Within) => Promise<T>;

async function noted<T>(within: Within, parts: Audited, change: Change<T>): Promise<T> {
  const answer = await change(within);
  await noteDone(within, parts, answer);
  return answer;
}

interface Repeatable {
  readonly parts: Audited;
  readonly key: RepeatKey;
}

/** The first answer, which a repeat gets again. Nothing of the repeat is audited: it does nothing. */
async function once<T>(within: Within, { parts, key }: Repeatable, change: Change<T>): Promise<T> {
  const { operators, reply } = parts;
  const first = await operators.repeats.first(within, key);
  if (!first.ok) throw REPEAT_REFUSALS[first.error];
  if (first.value) {
    void reply.code(first.value.status);
    return first.value.answer as T;
  }
  const answer = await noted(within, parts, change);
  await operators.repeats.keep(within, key, { status: reply.statusCode, answer });
  return answer;
}

function repeatKeyOf(request: FastifyRequest): RepeatKey {
  const given = request.headers[KEY_HEADER];
  if (typeof given !== "string" || !KEY.test(given))
    throw new HttpRefusal(
      400,
      "E_FORMAT",
      `${KEY_HEADER}: this request moves money; name it by 8 to 128 characters of your own, the same when you repeat it`,
      KEY_HEADER,
    );
  const content = JSON.stringify([request.method, request.url, request.body ?? {}]);
  return { identity: identityOf(operatorOf(request)), key: given, request: content };
}

const REPEAT_REFUSALS = {
  "other-content": new HttpRefusal(
    409,
    "E_CONFLICT",
    `${KEY_HEADER}: this key was used for another request; take a new one for this`,
    KEY_HEADER,
  ),
  full: new HttpRefusal(429, "E_LIMIT", "too many requests that moved money within a day", KEY_HEADER),
} as const;

async function noteDone(within: Within, parts: Audited, answer: unknown, begun?: number): Promise<void> {
  const { operators, request, reply, guarded } = parts;
  const { named, ...entry } = entryOf(request);
  const shown = { ...named, ...namedBy(guarded.named ?? [], { body: request.body, answer }) };
  const of = begun === undefined ? {} : { of: begun };
  await operators.audit.append(within, { ...entry, named: shown, outcome: "done", status: reply.statusCode, ...of });
}

async function noteFailed({ operators, request }: Audited, error: unknown, begun?: number): Promise<void> {
  const outcome =
    error instanceof HttpRefusal && error.status < 500
      ? { outcome: "refused" as const, status: error.status }
      : { outcome: "failed" as const };
  const of = begun === undefined ? {} : { of: begun };
  await operators.store.transaction((within) =>
    operators.audit.append(within, { ...entryOf(request), ...outcome, reason: reasonOf(error), ...of }),
  );
}

/** Who asks for what, and from where. */
function entryOf(request: FastifyRequest): Omit<AuditInput, "outcome"> {
  const { name, role, by, credential } = operatorOf(request);
  return {
    action: `${request.method} ${request.routeOptions.url ?? ""}`,
    who: name,
    role,
    by,
    ...(credential === undefined ? {} : { credential }),
    address: request.ip,
    named: namedBy(Object.keys(Object(request.params)), request.params),
  };
}

/** Values by their paths, as far as they are plain. */
function namedBy(paths: readonly string[], from: unknown): Record<string, string> {
  return Object.fromEntries(
    paths.flatMap((path) => {
      const value = path
        .split(".")
        .reduce<unknown>((at, key) => (at !== null && typeof at === "object" ? Reflect.get(at, key) : undefined), from);
      return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
        ? [[path.replace(/^body\./, ""), String(value)]]
        : [];
    }),
  );
}
