/** Operators over HTTPS: logging in and out, accounts, API tokens, and the audit log. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Clock } from "../../../base/clock.ts";
import { ok, type Result } from "../../../base/result.ts";
import { HttpRefusal, isoTime, jsonSchema, LimitSchema, parseInput, refuseWaiting, TooOften } from "../../http.ts";
import { createRateLimit } from "../../rate-limit.ts";
import { type AccountRefusal, type AccountView, type LogIn, type LogInRefusal, NAME_PATTERN } from "./accounts.ts";
import type { AuditInput } from "./audit.ts";
import { TOKEN_DAYS_MAX } from "./credentials.ts";
import { operatorOf } from "./guarded-routes.ts";
import { PASSWORD_LENGTH_MAX, passwordProblem } from "./passwords.ts";
import { mayAct, type Operator, RoleSchema } from "./roles.ts";
import type { Operators } from "./service.ts";
import type { TokenRow } from "./store.ts";

const NameSchema = z.string().regex(NAME_PATTERN, "a lower-case letter, then letters, digits, . _ - and at most 32");
/** Its rules are told apart by `passwordProblem`: a wrong one is not repeated in the refusal. */
const PasswordSchema = z.string().min(1).max(PASSWORD_LENGTH_MAX);
const TokenNameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "letters, digits, . _ - and at most 64");
const NameParams = z.strictObject({ name: NameSchema });
const TokenParams = z.strictObject({ name: NameSchema, token: TokenNameSchema });
const nameParams = { type: "object", properties: { name: { type: "string" } } };
const tokenParams = { type: "object", properties: { name: { type: "string" }, token: { type: "string" } } };
const security = [{ operator: [] }];

const LogInBody = z.strictObject({ name: z.string().min(1).max(64), password: PasswordSchema });
const SessionShape = z.object({
  session: z.string().describe("to be sent as the bearer; it is told once"),
  name: z.string(),
  role: RoleSchema,
  expiresAt: z.string(),
});
const MeShape = z.object({ name: z.string(), role: RoleSchema, by: z.enum(["session", "token", "bootstrap"]) });
const AccountShape = z.object({
  name: z.string(),
  role: RoleSchema,
  createdAt: z.string(),
  disabledAt: z.string().optional(),
});
const AccountsShape = z.object({ operators: z.array(AccountShape), cursor: z.string().optional() });
const AccountQuery = z.strictObject({ cursor: z.string().max(64).optional(), limit: LimitSchema });
const NewAccountBody = z.strictObject({ name: NameSchema, role: RoleSchema, password: PasswordSchema });
const RoleBody = z.strictObject({ role: RoleSchema });
const PasswordBody = z.strictObject({
  password: PasswordSchema,
  current: PasswordSchema.optional().describe("of one's own account"),
});
const TokenShape = z.object({
  name: z.string(),
  shownId: z.string().describe("what the token begins with"),
  role: RoleSchema,
  createdAt: z.string(),
  expiresAt: z.string(),
  usedAt: z.string().optional(),
});
const TokensShape = z.object({ tokens: z.array(TokenShape) });
const NewTokenBody = z.strictObject({
  name: TokenNameSchema,
  role: RoleSchema,
  days: z.int().min(1).max(TOKEN_DAYS_MAX).default(90),
});
const NewTokenShape = z.object({ token: z.string().describe("told once"), expiresAt: z.string() });
const DoneShape = z.object({});

/** Log-ins of one address, right or wrong: each costs the hub some work. */
const LOG_INS_BURST = 30;
const LOG_INS_PER_MINUTE = 30;
const LOG_IN_BYTES_MAX = 4_096;

export interface OperatorRouteParts {
  readonly operators: Operators;
  readonly clock: Clock;
}

/** Open to whoever knows a password. */
export function registerLogInRoute(app: FastifyInstance, { operators, clock }: OperatorRouteParts): void {
  const limit = createRateLimit({ clock, burst: LOG_INS_BURST, perMinute: LOG_INS_PER_MINUTE });
  const response = { 201: jsonSchema(SessionShape) };
  const schema = { summary: "Logs an operator in", body: jsonSchema(LogInBody), response };
  app.post("/v1/sessions", { bodyLimit: LOG_IN_BYTES_MAX, schema }, async (request, reply) => {
    refuseWaiting(limit(request.ip));
    const { name, password } = parseInput(LogInBody, request.body);
    // What is no name may be a password that was typed into the wrong field.
    const known = await operators.store.read((reading) => operators.accounts.get(reading, name));
    const entry = { action: "POST /v1/sessions", who: known?.name ?? "(unknown)", address: request.ip };
    const loggedIn = await logIn(operators, { name, password, address: request.ip }, entry);
    if (!loggedIn.ok) {
      const { error } = loggedIn;
      const refusal =
        error.why === "throttled"
          ? new TooOften(error.waitSec)
          : new HttpRefusal(401, "E_DENIED", "name or password is wrong, or the account is disabled");
      const { status, message } = refusal;
      await operators.refused.note({ ...entry, outcome: "refused", status, reason: message });
      throw refusal;
    }
    void reply.code(201).header("cache-control", "no-store");
    return loggedIn.value;
  });
}

async function logIn(
  { store, accounts, credentials, audit }: Operators,
  asked: LogIn,
  entry: Pick<AuditInput, "action" | "who" | "address">,
): Promise<Result<z.output<typeof SessionShape>, LogInRefusal>> {
  const proven = await accounts.prove(asked);
  if (!proven.ok) return proven;
  return await store.transaction(async (within) => {
    const still = await accounts.stillProven(within, proven.value);
    if (!still.ok) return still;
    const { name, role } = still.value;
    const { session, id, expiresAt } = await credentials.openSession(within, name);
    await audit.append(within, { ...entry, role, by: "session", credential: id, outcome: "done", status: 201 });
    return ok({ session, name, role, expiresAt: isoTime(expiresAt) });
  });
}

export function registerOperatorRoutes(app: FastifyInstance, { operators }: OperatorRouteParts): void {
  ownRoutes(app, operators);
  accountRoutes(app, operators);
  passwordRoute(app, operators);
  tokenRoutes(app, operators);
}

function ownRoutes(app: FastifyInstance, { credentials }: Operators): void {
  app.get(
    "/v1/operators/me",
    { config: { role: "viewer" }, schema: { summary: "Who asks", response: { 200: jsonSchema(MeShape) }, security } },
    (request): z.output<typeof MeShape> => {
      const { name, role, by } = operatorOf(request);
      return { name, role, by };
    },
  );
  app.post(
    "/v1/sessions/end",
    {
      config: { role: "viewer" },
      schema: { summary: "Logs out", response: { 200: jsonSchema(DoneShape) }, security },
    },
    async (request) => {
      const { by, credential } = operatorOf(request);
      if (by !== "session" || credential === undefined)
        throw new HttpRefusal(409, "E_STATE", "only a session can be ended; this is a token");
      return await request.change(async (within) => {
        await credentials.endSession(within, credential);
        return {};
      });
    },
  );
}

function accountRoutes(app: FastifyInstance, { store, accounts, passwords }: Operators): void {
  const response = { 200: jsonSchema(AccountShape) };
  app.get(
    "/v1/operators",
    {
      config: { role: "admin" },
      schema: {
        summary: "Accounts of operators",
        querystring: jsonSchema(AccountQuery),
        response: { 200: jsonSchema(AccountsShape) },
        security,
      },
    },
    async (request) => {
      const query = parseInput(AccountQuery, request.query);
      const page = { after: query.cursor ?? "", limit: query.limit };
      const found = await store.read((reading) => accounts.list(reading, page));
      const last = found.length === query.limit ? found.at(-1) : undefined;
      return { operators: found.map(showAccount), ...(last ? { cursor: last.name } : {}) };
    },
  );
  app.post(
    "/v1/operators",
    {
      config: { role: "admin", people: true, named: ["body.name", "body.role"] },
      schema: {
        summary: "Makes an operator's account",
        body: jsonSchema(NewAccountBody),
        response: { 201: jsonSchema(AccountShape) },
        security,
      },
    },
    async (request, reply) => {
      const { name, role, password } = parseInput(NewAccountBody, request.body);
      const kept = await passwords.hash(goodPassword(name, password));
      void reply.code(201);
      return await request.change(async (within) => {
        const added = await accounts.add(within, { name, role, password: kept });
        if (!added.ok) throw new HttpRefusal(409, "E_CONFLICT", `name: ${name} is taken`, "name");
        return showAccount(added.value);
      });
    },
  );
  app.post(
    "/v1/operators/:name/role",
    {
      config: { role: "admin", people: true, named: ["body.role"] },
      schema: {
        summary: "Gives an operator another role; he has to log in again",
        params: nameParams,
        body: jsonSchema(RoleBody),
        response,
        security,
      },
    },
    async (request) => {
      const { role } = parseInput(RoleBody, request.body);
      const name = nameOf(request);
      return await request.change(async (within) => showChanged(await accounts.setRole(within, name, role)));
    },
  );
  for (const [verb, summary] of [
    ["disable", "Disables an operator: his sessions end, his API tokens are gone"],
    ["enable", "Lets a disabled operator log in again"],
  ] as const) {
    app.post(
      `/v1/operators/:name/${verb}`,
      { config: { role: "admin", people: true }, schema: { summary, params: nameParams, response, security } },
      async (request) => {
        const name = nameOf(request);
        return await request.change(async (within) => showChanged(await accounts[verb](within, name)));
      },
    );
  }
}

function passwordRoute(app: FastifyInstance, { accounts, passwords }: Operators): void {
  app.post(
    "/v1/operators/:name/password",
    {
      config: { role: "viewer", people: true },
      schema: {
        summary: "Sets one's own password, or as an admin another's; all sessions of the account end",
        params: nameParams,
        body: jsonSchema(PasswordBody),
        response: { 200: jsonSchema(AccountShape) },
        security,
      },
    },
    async (request) => {
      const name = ownOrAdmin(request);
      const { password, current } = parseInput(PasswordBody, request.body);
      const isOwn = name === operatorOf(request).name;
      const asked = { name, password: current ?? "", address: request.ip };
      const proven = isOwn ? orRefuse(await accounts.prove(asked)) : undefined;
      const kept = await passwords.hash(goodPassword(name, password));
      return await request.change(async (within) => {
        if (proven) orRefuse(await accounts.stillProven(within, proven));
        return showChanged(await accounts.setPassword(within, name, kept));
      });
    },
  );
}

/** Of one's own present password. */
function orRefuse<T>(proven: Result<T, LogInRefusal>): T {
  if (proven.ok) return proven.value;
  if (proven.error.why === "throttled") throw new TooOften(proven.error.waitSec);
  throw new HttpRefusal(403, "E_DENIED", "current: this is not your password", "current");
}

function tokenRoutes(app: FastifyInstance, { store, credentials }: Operators): void {
  app.get(
    "/v1/operators/:name/tokens",
    {
      config: { role: "viewer" },
      schema: {
        summary: "One's own API tokens, or as an admin another's",
        params: nameParams,
        response: { 200: jsonSchema(TokensShape) },
        security,
      },
    },
    async (request) => {
      const name = ownOrAdmin(request);
      const tokens = await store.read((reading) => credentials.tokensOf(reading, name));
      return { tokens: tokens.map(showToken) };
    },
  );
  app.post(
    "/v1/operators/:name/tokens",
    {
      config: { role: "viewer", people: true, named: ["body.name", "body.role", "body.days"] },
      schema: {
        summary: "Makes an API token of the account's role or a lower one",
        params: nameParams,
        body: jsonSchema(NewTokenBody),
        response: { 201: jsonSchema(NewTokenShape) },
        security,
      },
    },
    async (request, reply): Promise<z.output<typeof NewTokenShape>> => {
      const account = ownOrAdmin(request);
      const body = parseInput(NewTokenBody, request.body);
      void reply.code(201).header("cache-control", "no-store");
      return await request.change(async (within) => {
        const added = await credentials.addToken(within, { account, ...body });
        if (!added.ok) throw TOKEN_REFUSALS[added.error];
        return { token: added.value.token, expiresAt: isoTime(added.value.expiresAt) };
      });
    },
  );
  app.post(
    "/v1/operators/:name/tokens/:token/revoke",
    {
      config: { role: "viewer", people: true },
      schema: {
        summary: "Revokes an API token at once",
        params: tokenParams,
        response: { 200: jsonSchema(DoneShape) },
        security,
      },
    },
    async (request) => {
      const { name, token } = parseInput(TokenParams, request.params);
      orRefuseOthers(request, name);
      return await request.change(async (within) => {
        if (await credentials.revokeToken(within, name, token)) return {};
        throw new HttpRefusal(404, "E_UNKNOWN", `${name} has no token ${token}`, "token");
      });
    },
  );
}

const TOKEN_REFUSALS = {
  unknown: new HttpRefusal(404, "E_UNKNOWN", "name: there is no such operator", "name"),
  above: new HttpRefusal(403, "E_DENIED", "role: a token may do no more than its owner", "role"),
  taken: new HttpRefusal(409, "E_CONFLICT", "name: this operator has a token of that name", "name"),
  full: new HttpRefusal(409, "E_LIMIT", "this operator has as many tokens as one may have; revoke some first"),
} as const;

const nameOf = (request: FastifyRequest): string => parseInput(NameParams, request.params).name;

/** The name in the path, where it is the asker's own or the asker is an admin. */
function ownOrAdmin(request: FastifyRequest): string {
  const name = nameOf(request);
  orRefuseOthers(request, name);
  return name;
}

function orRefuseOthers(request: FastifyRequest, name: string): void {
  const operator: Operator = operatorOf(request);
  if (operator.name === name || mayAct(operator.role, "admin")) return;
  throw new HttpRefusal(
    403,
    "E_DENIED",
    `for another than yourself this needs the role admin; you are ${operator.name}`,
  );
}

function goodPassword(name: string, password: string): string {
  const problem = passwordProblem(name, password);
  if (problem !== undefined) throw new HttpRefusal(400, "E_FORMAT", `password: ${problem}`, "password");
  return password;
}

function showChanged(changed: Result<AccountView, AccountRefusal>): z.output<typeof AccountShape> {
  if (changed.ok) return showAccount(changed.value);
  if (changed.error === "unknown") throw new HttpRefusal(404, "E_UNKNOWN", "name: there is no such operator", "name");
  throw new HttpRefusal(409, "E_STATE", "this is the last admin who can log in; make another first");
}

const showAccount = ({ name, role, createdAt, disabledAt }: AccountView): z.output<typeof AccountShape> => ({
  name,
  role,
  createdAt: isoTime(createdAt),
  ...(disabledAt === undefined ? {} : { disabledAt: isoTime(disabledAt) }),
});

const showToken = ({ id, name, role, createdAt, expiresAt, usedAt }: TokenRow): z.output<typeof TokenShape> => ({
  name,
  shownId: `twt.${id}`,
  role,
  createdAt: isoTime(createdAt),
  expiresAt: isoTime(expiresAt),
  ...(usedAt === null ? {} : { usedAt: isoTime(usedAt) }),
});
