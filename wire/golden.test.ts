/**
 * A golden sample of every message: two versions of agent and hub that both take it can talk. A field that is renamed,
 * removed, newly required or newly there fails here, so that no shape changes by accident. Only additions are allowed
 * within a version: then the sample gets the new field too.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { z } from "zod";
import { CardDataSchema } from "./card-data.ts";
import { DownEnvelopeSchema, UpEnvelopeSchema } from "./envelope.ts";
import { EntryBodySchema } from "./journal-entry.ts";
import { ExportEndSchema, ExportHeaderSchema } from "./journal-export.ts";
import { HubTimeSchema, LeaseSchema } from "./lease.ts";
import {
  PhoneAnswerSchema,
  PhoneClaimSchema,
  PhoneEnrolRequestSchema,
  PhoneEnrolResponseSchema,
  PhoneMessageSchema,
} from "./phone.ts";
import { StandInParametersSchema } from "./stand-in.ts";
import {
  ClaimSchema,
  EnrolRequestSchema,
  EnrolResponseSchema,
  RenewalRequestSchema,
  RenewalResponseSchema,
} from "./terminal.ts";

const FOLDER = new URL("../test/vectors/wire/", import.meta.url);
const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, FOLDER), "utf8"));

const SINGLE: Readonly<Record<string, z.ZodType>> = {
  "card-data.json": CardDataSchema,
  "claim.json": ClaimSchema,
  "enrol.request.json": EnrolRequestSchema,
  "enrol.response.json": EnrolResponseSchema,
  "journal-export.end.json": ExportEndSchema,
  "journal-export.header.json": ExportHeaderSchema,
  "lease.signed.json": LeaseSchema,
  "phone-claim.json": PhoneClaimSchema,
  "phone-enrol.request.json": PhoneEnrolRequestSchema,
  "phone-enrol.response.json": PhoneEnrolResponseSchema,
  "renewal.request.json": RenewalRequestSchema,
  "renewal.response.json": RenewalResponseSchema,
  "stand-in.signed.json": StandInParametersSchema,
  "time.signed.json": HubTimeSchema,
};
const UNIONS: readonly { readonly key: string; readonly prefix: string; readonly schemas: readonly z.ZodType[] }[] = [
  { key: "type", prefix: "", schemas: UpEnvelopeSchema.options },
  { key: "type", prefix: "", schemas: DownEnvelopeSchema.options },
  { key: "type", prefix: "phone.", schemas: PhoneMessageSchema.options },
  { key: "type", prefix: "phone-answer.", schemas: PhoneAnswerSchema.options },
  { key: "kind", prefix: "entry.", schemas: EntryBodySchema.options },
];

/** As much of JSON Schema as zod writes for messages. */
interface Shape {
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
  readonly const?: unknown;
}
const shapeOf = (schema: z.ZodType): Shape => z.toJSONSchema(schema, { io: "input" }) as Shape;

/** Every message with the file of its sample. */
const messages: readonly (readonly [file: string, schema: z.ZodType])[] = [
  ...Object.entries(SINGLE),
  ...UNIONS.flatMap(({ key, prefix, schemas }) =>
    schemas.map((schema) => [`${prefix}${String(shapeOf(schema).properties?.[key]?.const)}.json`, schema] as const),
  ),
];

/** The paths of all fields that a message may have, and those that a sample has. */
function fieldsOf(shape: Shape, path = ""): string[] {
  if (shape.items) return fieldsOf(shape.items, `${path}[]`);
  if (!shape.properties) return [path];
  return Object.entries(shape.properties).flatMap(([name, inner]) => fieldsOf(inner, `${path}.${name}`));
}
function fieldsIn(value: unknown, path = ""): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => fieldsIn(item, `${path}[]`));
  if (typeof value !== "object" || value === null) return [path];
  return Object.entries(value).flatMap(([name, inner]) => fieldsIn(inner, `${path}.${name}`));
}

test("every message has its sample, and every sample its message", () => {
  expect(messages.map(([file]) => file).sort()).toEqual([...files].sort());
});

test.each(messages)("%s is taken as it stands and read without loss", (file, schema) => {
  const sample = read(file);
  const parsed = schema.safeParse(sample);
  expect(parsed.error).toBeUndefined();
  expect(JSON.parse(JSON.stringify(parsed.data))).toEqual(sample);
});

test("an agent that enrols with no certificate request is told to be upgraded", () => {
  const { csr: _, ...earlier } = read("enrol.request.json") as Record<string, unknown>;
  expect(EnrolRequestSchema.safeParse(earlier).error?.issues[0]).toMatchObject({
    path: ["csr"],
    message: expect.stringContaining("must be upgraded"),
  });
});

test.each(["enrol.response.json", "renewal.response.json"])("%s without a login is read as before", (file) => {
  const sample = read(`earlier/${file}`);
  expect(SINGLE[file]?.parse(sample)).toEqual(sample);
});

test("a lease and a decision without the later fields are read: nothing more is permitted, and no limit is new", () => {
  const lease = LeaseSchema.parse(read("earlier/lease.signed.json"));
  const { perPayer: _, standIn: _standIn, ...later } = read("lease.signed.json") as Record<string, unknown>;
  expect(lease).toEqual({ ...later, deferredAuthorisation: false, ageMaxSec: 7_776_000 });
  const sample = read("earlier/entry.decision.json");
  expect(EntryBodySchema.parse(sample)).toEqual(sample);
});

test.each(["purchase", "refund", "tip", "pre-authorisation", "completion"])(
  "a payment that is a %s is begun and decided under this name",
  (operation) => {
    for (const file of ["entry.intent.json", "entry.decision.json"]) {
      const sample = { ...(read(file) as object), operation };
      expect(EntryBodySchema.parse(sample)).toEqual(sample);
    }
  },
);

test.each(messages)("%s shows every field that the message may have", (file, schema) => {
  expect([...new Set(fieldsIn(read(file)))].sort()).toEqual([...new Set(fieldsOf(shapeOf(schema)))].sort());
});

test.each(messages)("%s with a field too many is refused", (_file, schema) => {
  const sample = read(_file) as Record<string, unknown>;
  expect(schema.safeParse({ ...sample, surplus: 1 }).success).toBe(false);
});
