/** A terminal's own life at the hub: enrolment by a one-time claim, presence, health. */
import { z } from "zod";
import { Base64Schema, DigestSchema, SequenceSchema, TerminalIdSchema, TimeSchema } from "./common.ts";
import { NonceSchema } from "./lease.ts";

/** What the operator hands over: where the hub is, who may come, and which CA to trust (SHA-256 of its DER). */
export const ClaimSchema = z.strictObject({
  hub: z.url(),
  terminalId: TerminalIdSchema,
  claimId: z.string().regex(/^[0-9a-f]{16,64}$/),
  secret: z.string().min(32).max(128),
  caFingerprint: DigestSchema,
});
export type Claim = z.infer<typeof ClaimSchema>;

const CLAIM_PREFIX = "tw1.";
export const claimText = (claim: Claim): string =>
  CLAIM_PREFIX + Buffer.from(JSON.stringify(claim)).toString("base64url");
/** The claim, or undefined when the text is not one. */
export function readClaim(text: string): Claim | undefined {
  if (!text.startsWith(CLAIM_PREFIX)) return undefined;
  try {
    const json: unknown = JSON.parse(Buffer.from(text.slice(CLAIM_PREFIX.length), "base64url").toString("utf8"));
    return ClaimSchema.safeParse(json).data;
  } catch {
    return undefined;
  }
}

/** A PKCS #10 request over the terminal's own P-256 key: DER as base64. */
const CsrSchema = z
  .base64({ error: "a certificate request is wanted here; an agent that sends none must be upgraded first" })
  .max(4_096);

/** What a terminal says in CONNECT where a broker of others, which looks at no names in certificates, stands before the hub. */
export const TerminalLoginSchema = z.strictObject({
  clientId: z.string().min(1).max(128),
  username: z.string().min(1).max(128),
  password: z.string().min(1).max(4_096),
});
export type TerminalLogin = z.infer<typeof TerminalLoginSchema>;

/** What a terminal shows of itself in TLS, and from when on it is to ask for the next one. */
export const IssuedCertificateSchema = z.strictObject({
  /** PEM. */
  pem: z.string().includes("BEGIN CERTIFICATE").max(8_192),
  renewAfter: TimeSchema,
  /** Ends with the certificate. Absent where the certificate is all that MQTT wants. */
  login: TerminalLoginSchema.optional(),
});
export type IssuedCertificate = z.infer<typeof IssuedCertificateSchema>;

export const EnrolRequestSchema = z.strictObject({
  claimId: z.string().max(64),
  secret: z.string().max(128),
  /** Ed25519 SPKI: checks the signatures of batches. */
  signingKey: Base64Schema,
  csr: CsrSchema,
});
export type EnrolRequest = z.infer<typeof EnrolRequestSchema>;

export const EnrolResponseSchema = z.strictObject({
  terminalId: TerminalIdSchema,
  certificate: IssuedCertificateSchema,
  caCertificate: z.string().max(8_192),
  mqttUrl: z.url(),
  httpsUrl: z.url(),
  /** Ed25519 SPKI: checks leases and hub time. */
  hubSigningKey: Base64Schema,
  sealingKey: z.strictObject({ keyId: z.string().max(64), publicKey: Base64Schema }),
  /** 32 bytes: keys this terminal's card tokens. */
  cardTokenKey: Base64Schema,
});
export type EnrolResponse = z.infer<typeof EnrolResponseSchema>;

/** Sent under the present certificate, or under the secret of an earlier version. The same key gets the same answer again. */
export const RenewalRequestSchema = z.strictObject({ terminalId: TerminalIdSchema, csr: CsrSchema });
export type RenewalRequest = z.infer<typeof RenewalRequestSchema>;
export const RenewalResponseSchema = z.strictObject({ certificate: IssuedCertificateSchema });

/** On connecting, on renewal of the lease, and as the Last Will. The hub answers `online` with a LeaseMessage. */
export const PresenceSchema = z.strictObject({
  status: z.enum(["online", "offline", "draining"]),
  version: z.string().max(32),
  /** The terminal's own clock, to show how wrong it is. Never used for order. */
  clock: TimeSchema,
  outstanding: z.strictObject({ count: z.int().min(0), minor: z.string().max(20) }).optional(),
  leaseCounter: z.int().min(0).optional(),
  /** Comes back in the hub's signed time; there while the terminal cannot prove what time it is, or hears nothing of the hub. */
  nonce: NonceSchema.optional(),
  /** The newest entry of the journal: shows a disk that was restored from an older copy. */
  head: z.strictObject({ sequence: SequenceSchema, forward: z.int().min(0), hash: DigestSchema }).optional(),
});
export type Presence = z.infer<typeof PresenceSchema>;

export const HealthSchema = z.strictObject({
  queueDepth: z.int().min(0),
  oldestAgeSec: z.int().min(0),
  devices: z
    .array(
      z.strictObject({ id: z.string().max(64), state: z.string().max(16), detail: z.string().max(200).optional() }),
    )
    .max(64),
});
export type Health = z.infer<typeof HealthSchema>;
