/** What an operator does about terminals over HTTPS: looks at one, revokes it, denies cards, turns keys, sees the exposure. */
import type { FastifyInstance, RouteHandlerMethod } from "fastify";
import { z } from "zod";
import type { TerminalId } from "../../../base/ids.ts";
import { TerminalIdSchema } from "../../../wire/common.ts";
import { DENIED_MAX } from "../../../wire/lease.ts";
import { HttpRefusal, isoTime, jsonSchema, parseInput } from "../../http.ts";
import type { Reading } from "../../store/store.ts";
import type { CertificateRow } from "./certificate-store.ts";
import type { DeniedEntry, DenyRefusal } from "./deny-list.ts";
import { showTerminal, type TerminalRouteParts, TerminalShape } from "./routes.ts";

const security = [{ operator: [] }];
const IdParams = z.strictObject({ id: TerminalIdSchema });
const idParams = { type: "object", properties: { id: { type: "string" } } };
const BySchema = z.string().trim().min(1).max(64);
const WhySchema = z.string().trim().min(1).max(200);
const ActionBody = z.strictObject({ by: BySchema, why: WhySchema });

const ShownTerminal = TerminalShape.extend({
  openFindings: z.array(z.object({ kind: z.string(), epoch: z.string(), detail: z.string() })),
  actions: z.array(z.object({ action: z.string(), by: z.string(), why: z.string(), at: z.string() })),
  certificates: z
    .array(
      z.object({
        serial: z.string(),
        issuedAt: z.string(),
        endsAt: z.string(),
        state: z.enum(["unused", "in-use", "replaced", "enrolled-again"]),
      }),
    )
    .describe("newest first"),
});

const MinorText = z.string().describe("minor units as a decimal string");
const ExposureShape = z.object({
  currencies: z.array(
    z.object({
      currency: z.string(),
      leases: z.int(),
      boundMinor: MinorText.describe("all that can be sold with no hub in reach"),
      payerBoundMinor: MinorText.describe("all that one card or device can buy, going from terminal to terminal"),
    }),
  ),
  leases: z.array(
    z.object({
      terminalId: z.string(),
      epoch: z.string(),
      currency: z.string(),
      capMinor: MinorText,
      copies: z.int().describe("journals known to hold this lease"),
      boundMinor: MinorText,
      expiresAt: z.string(),
    }),
  ),
  moreLeases: z.int(),
});
/** Leases listed one by one; all count in the sums. */
const LEASES_SHOWN_MAX = 1_000;

const DeniedBody = z.union([
  z.strictObject({ kind: z.literal("card"), id: z.string().regex(/^\d{12,19}$/, "12 to 19 digits") }),
  z.strictObject({ kind: z.enum(["device", "account"]), id: z.string().regex(/^[\x21-\x7e]{1,128}$/) }),
]);
const DenyBody = z.strictObject({ subject: DeniedBody, why: WhySchema.optional() });
const DeniedShape = z.object({
  kind: z.enum(["card", "device", "account"]),
  shown: z.string().describe("first six and last four digits of a card; else the id"),
  why: z.string().optional(),
  at: z.string(),
});
const DenyListShape = z.object({ version: z.int(), entries: z.array(DeniedShape) });
const ChangedShape = z.object({ version: z.int(), entry: DeniedShape });

const NeedShape = z.object({ terminalId: z.string(), why: z.string() });
const KeysShape = z.object({
  sealing: z.array(
    z.object({
      keyId: z.string(),
      generation: z.int(),
      madeAt: z.string(),
      present: z.boolean(),
      neededBy: z.array(NeedShape).describe("terminals that may still hold entries sealed to it"),
      moreNeeds: z.int(),
    }),
  ),
});
const PruneBody = z.strictObject({
  /** Whatever these terminals still hold under an older key can never be opened. */
  giveUp: z.array(TerminalIdSchema).max(100).default([]),
  by: BySchema.optional(),
  why: WhySchema.optional(),
});
const PrunedShape = KeysShape.extend({ pruned: z.array(z.string()) });
const NEEDS_SHOWN_MAX = 20;

export function registerTerminalOperatorRoutes(app: FastifyInstance, parts: TerminalRouteParts): void {
  terminalRoutes(app, parts);
  denyRoutes(app, parts);
  keyRoutes(app, parts);
}

function terminalRoutes(app: FastifyInstance, parts: TerminalRouteParts): void {
  const { store, terminals, renewal } = parts;
  async function shown(reading: Reading, id: TerminalId): Promise<z.output<typeof ShownTerminal>> {
    const view = await terminals.get(reading, id);
    if (!view) throw new HttpRefusal(404, "E_UNKNOWN", `no terminal ${id} is enrolled here`);
    const { findings } = await parts.factsOf(reading, id);
    const done = await terminals.actions(reading, id);
    const actions = done.map(({ action, by, why, at }) => ({ action, by, why, at: isoTime(at) }));
    const openFindings = findings.map(({ kind, epoch, detail }) => ({ kind, epoch, detail }));
    const certificates = (await terminals.certificates.list(reading, id)).map(showCertificate);
    return { ...(await showTerminal(reading, parts, view)), openFindings, actions, certificates };
  }
  const act =
    (verb: "revoke" | "restore"): RouteHandlerMethod =>
    async (request) => {
      const { id: terminalId } = parseInput(IdParams, request.params);
      const action = { terminalId, ...parseInput(ActionBody, request.body) };
      let changed = false;
      const view = await request.change(async (within) => {
        const done = await terminals[verb](within, action);
        changed = done.ok && done.value;
        return await shown(within, terminalId);
      });
      if (changed) {
        renewal.one(terminalId);
        if (verb === "revoke") parts.endSessions(terminalId);
      }
      return view;
    };
  const response = { 200: jsonSchema(ShownTerminal) };
  const one = { params: idParams, response, security };
  app.get(
    "/v1/terminals/:id",
    { config: { role: "viewer" }, schema: { summary: "One terminal, and what was done to it", ...one } },
    (request) => store.read((reading) => shown(reading, parseInput(IdParams, request.params).id)),
  );
  const acting = { ...one, body: jsonSchema(ActionBody) };
  app.post(
    "/v1/terminals/:id/revoke",
    {
      config: { role: "operator", named: ["body.by", "body.why"] },
      schema: {
        summary: "Refuses a terminal from now on; its keys stay, so that its journal can be imported",
        ...acting,
      },
    },
    act("revoke"),
  );
  app.post(
    "/v1/terminals/:id/restore",
    {
      config: { role: "operator", named: ["body.by", "body.why"] },
      schema: { summary: "Takes a revocation back", ...acting },
    },
    act("restore"),
  );
  app.get(
    "/v1/exposure",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What the fleet can sell at most with no hub in reach: the sum of the leases in force",
        response: { 200: jsonSchema(ExposureShape) },
        security,
      },
    },
    () => store.read((reading) => showExposure(reading, parts)),
  );
}

const showCertificate = ({ serial, issuedAt, endsAt, firstUsedAt, closedWhy }: CertificateRow) => ({
  serial,
  issuedAt: isoTime(issuedAt),
  endsAt: isoTime(endsAt),
  state: closedWhy ?? (firstUsedAt === null ? ("unused" as const) : ("in-use" as const)),
});

async function showExposure(
  reading: Reading,
  { terminals, factsOf }: TerminalRouteParts,
): Promise<z.output<typeof ExposureShape>> {
  const { currencies, leases } = await terminals.exposure(reading, async (terminalId, epoch) => {
    const { findings } = await factsOf(reading, terminalId);
    return findings.some((finding) => finding.kind === "clone" && finding.epoch === epoch) ? 2 : 1;
  });
  return {
    currencies: currencies.map((one) => ({
      ...one,
      boundMinor: one.boundMinor.toString(),
      payerBoundMinor: one.payerBoundMinor.toString(),
    })),
    leases: leases.slice(0, LEASES_SHOWN_MAX).map(({ payerMinor: _, ...lease }) => ({
      ...lease,
      capMinor: lease.capMinor.toString(),
      boundMinor: lease.boundMinor.toString(),
      expiresAt: isoTime(lease.expiresAt),
    })),
    moreLeases: Math.max(0, leases.length - LEASES_SHOWN_MAX),
  };
}

const showDenied = ({ kind, shown, why, at }: DeniedEntry): z.output<typeof DeniedShape> => ({
  kind,
  shown,
  ...(why === undefined ? {} : { why }),
  at: isoTime(at),
});

/** Nothing of what was sent is repeated: it may be a card's number. */
const DENY_REFUSALS: Readonly<Record<DenyRefusal, HttpRefusal>> = {
  known: new HttpRefusal(409, "E_CONFLICT", "subject: it is on the deny list already", "subject"),
  unknown: new HttpRefusal(404, "E_UNKNOWN", "subject: it is not on the deny list", "subject"),
  full: new HttpRefusal(
    409,
    "E_LIMIT",
    `a lease carries at most ${DENIED_MAX} denied cards and devices; remove some first (cards that have expired need none)`,
  ),
};

function denyRoutes(app: FastifyInstance, { store, terminals, renewal }: TerminalRouteParts): void {
  const { denyList } = terminals;
  const changing = (summary: string) => ({
    config: {
      role: "operator" as const,
      named: ["answer.entry.kind", "answer.entry.shown", "answer.version", "body.why"],
    },
    schema: { summary, body: jsonSchema(DenyBody), response: { 200: jsonSchema(ChangedShape) }, security },
  });
  const change =
    (verb: "add" | "remove"): RouteHandlerMethod =>
    async (request): Promise<z.output<typeof ChangedShape>> => {
      const { subject, why } = parseInput(DenyBody, request.body);
      const answer = await request.change(async (within) => {
        const changed =
          verb === "add" ? await denyList.add(within, subject, why) : await denyList.remove(within, subject);
        if (!changed.ok) throw DENY_REFUSALS[changed.error];
        return { version: await denyList.version(within), entry: showDenied(changed.value) };
      });
      renewal.all();
      return answer;
    };
  app.get(
    "/v1/deny",
    {
      config: { role: "viewer" },
      schema: { summary: "The deny list, oldest first", response: { 200: jsonSchema(DenyListShape) }, security },
    },
    () =>
      store.read(async (reading) => ({
        version: await denyList.version(reading),
        entries: (await denyList.list(reading)).map(showDenied),
      })),
  );
  app.post(
    "/v1/deny",
    changing("Denies a card, a paying device or an account, here and at every terminal"),
    change("add"),
  );
  app.post("/v1/deny/remove", changing("Takes an entry off the deny list"), change("remove"));
}

/** Others would know nothing of a key that one of them made. */
const NOT_FOR_ALL = new HttpRefusal(
  409,
  "E_STATE",
  'other replicas may share this database: put the new key into the folder of each, as docs/operations.md has it under "Keys"',
);

function keyRoutes(app: FastifyInstance, parts: TerminalRouteParts): void {
  const { store, terminals, sealing, renewal } = parts;
  const needsOf = (reading: Reading, keyId: string) => terminals.needsOfKey(reading, keyId, parts.takenOf);
  async function listed(reading: Reading): Promise<z.output<typeof KeysShape>> {
    const keys: z.output<typeof KeysShape>["sealing"] = [];
    for (const { keyId, generation, madeAt } of sealing.all) {
      const needs = keyId === sealing.keyId ? [] : await needsOf(reading, keyId);
      keys.push({
        keyId,
        generation,
        madeAt: isoTime(madeAt),
        present: keyId === sealing.keyId,
        neededBy: needs.slice(0, NEEDS_SHOWN_MAX),
        moreNeeds: Math.max(0, needs.length - NEEDS_SHOWN_MAX),
      });
    }
    return { sealing: keys };
  }
  const response = { 200: jsonSchema(KeysShape) };
  app.get(
    "/v1/keys",
    {
      config: { role: "viewer" },
      schema: { summary: "Sealing keys, and who may need the older ones", response, security },
    },
    () => store.read(listed),
  );
  app.post(
    "/v1/keys/sealing/rotate",
    {
      config: { role: "admin", audit: "steps" },
      schema: { summary: "Makes a new sealing key; leases name it from now on", response, security },
    },
    () => {
      if (store.kind === "postgres") throw NOT_FOR_ALL;
      terminals.rotateSealing();
      renewal.all();
      return store.read(listed);
    },
  );
  app.post(
    "/v1/keys/sealing/prune",
    {
      config: { role: "admin", audit: "steps", named: ["body.by", "body.why"] },
      schema: {
        summary: "Removes older sealing keys that no terminal can need any more",
        body: jsonSchema(PruneBody),
        response: { 200: jsonSchema(PrunedShape) },
        security,
      },
    },
    async (request): Promise<z.output<typeof PrunedShape>> => {
      const { giveUp, by, why } = parseInput(PruneBody, request.body ?? {});
      if (giveUp.length > 0 && (by === undefined || why === undefined))
        throw new HttpRefusal(400, "E_FORMAT", "giveUp: say by whom and why", "giveUp");
      const needless = await store.transaction(async (within) => {
        for (const terminalId of giveUp) await terminals.giveUp(within, { terminalId, by: by ?? "", why: why ?? "" });
        const found: string[] = [];
        for (const { keyId } of sealing.all) {
          if (keyId === sealing.keyId) continue;
          const needs = await needsOf(within, keyId);
          if (needs.every(({ terminalId }) => giveUp.includes(terminalId))) found.push(keyId);
        }
        return found;
      });
      for (const keyId of needless) sealing.remove(keyId);
      return { pruned: needless, ...(await store.read(listed)) };
    },
  );
}
