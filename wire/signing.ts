/** Ed25519 over the exact bytes sent, under a domain tag, so that no signature serves for another purpose. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { z } from "zod";
import { fromBase64, toBase64 } from "../base/bytes.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import { Base64Schema } from "./common.ts";

/** What a signature is for; part of what is signed. */
export type SigningDomain =
  | "lease"
  | "time"
  | "batch"
  | "deny-list"
  | "journal-checkpoint"
  | "journal-export"
  | "allowance"
  | "phone"
  | "note"
  | "note-taken"
  | "stand-in"
  | "audit-head";

/** Characters. The longest is a lease: 335,000 with a full deny list, and what fits beside it of stand-in parameters. */
export const SIGNED_TEXT_MAX = 524_288;

/** A JSON text with its signature. The text is carried as it was signed, so that no two ends need to agree on a form. */
export const SignedSchema = z.strictObject({ text: z.string().max(SIGNED_TEXT_MAX), signature: Base64Schema });
export type Signed = z.infer<typeof SignedSchema>;

const bound = (domain: SigningDomain, content: string | Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(`tillway/v1/${domain}\n`, "utf8"),
    typeof content === "string" ? Buffer.from(content, "utf8") : content,
  ]);

export function signText(domain: SigningDomain, text: string, key: KeyObject): Signed {
  return { text, signature: toBase64(sign(null, bound(domain, text), key)) };
}

/** The same for messages that are bytes: 64 bytes of signature. */
export const signBytes = (domain: SigningDomain, bytes: Uint8Array, key: KeyObject): Uint8Array =>
  new Uint8Array(sign(null, bound(domain, bytes), key));
export const bytesSignatureFits = (
  domain: SigningDomain,
  signed: { readonly bytes: Uint8Array; readonly signature: Uint8Array },
  key: KeyObject,
): boolean => verify(null, bound(domain, signed.bytes), key, signed.signature);

/** Whether this key signed the text under this domain. */
export const signatureFits = (domain: SigningDomain, signed: Signed, key: KeyObject): boolean =>
  verify(null, bound(domain, signed.text), key, fromBase64(signed.signature));

/** Checks the signature, then the form. Throws Fault `signature.invalid` or `message.invalid`. */
export function openSigned<T>(domain: SigningDomain, signed: Signed, key: KeyObject, schema: z.ZodType<T>): T {
  if (!signatureFits(domain, signed, key)) {
    throw new Fault("signature.invalid", `the signature of this ${domain} does not match the hub's key`);
  }
  const parsed = schema.safeParse(parseJson(signed.text));
  if (!parsed.success)
    throw new Fault("message.invalid", `a signed ${domain} of unknown form: ${firstIssue(parsed.error)}`);
  return parsed.data;
}

/** JSON from outside: a Fault `message.invalid` instead of a SyntaxError, whose words quote what was sent (RM5). */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const at = /at position \d+/.exec(reasonOf(error))?.[0];
    throw new Fault("message.invalid", `not JSON${at === undefined ? "" : `: wrong ${at}`}`);
  }
}

/** The first thing zod found wrong, as `path: reason`. */
export function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  if (!issue) return "unknown";
  const path = issue.path.join(".") || (issue.code === "unrecognized_keys" ? issue.keys.join(", ") : "(whole)");
  return `${path}: ${issue.message}`;
}

export interface SigningKeys {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}
export const newSigningKeys = (): SigningKeys => generateKeyPairSync("ed25519");

/** Keys as text: SPKI and PKCS#8 DER in base64. */
export const publicKeyText = (key: KeyObject): string => toBase64(key.export({ type: "spki", format: "der" }));
export const privateKeyText = (key: KeyObject): string => toBase64(key.export({ type: "pkcs8", format: "der" }));
/** With each message the key of who speaks is asked for again, and parsing it costs as much as checking a signature. */
const KEYS_REMEMBERED_MAX = 1_024;
const remembered = new Map<string, KeyObject>();

/** A public key from its text; the last ones that were parsed are remembered. Throws for a text that is none. */
export function readPublicKey(text: string): KeyObject {
  const known = remembered.get(text);
  if (known) return known;
  const key = createPublicKey({ key: Buffer.from(fromBase64(text)), type: "spki", format: "der" });
  const [oldest] = remembered.keys();
  if (oldest !== undefined && remembered.size >= KEYS_REMEMBERED_MAX) remembered.delete(oldest);
  remembered.set(text, key);
  return key;
}
export const readPrivateKey = (text: string): KeyObject =>
  createPrivateKey({ key: Buffer.from(fromBase64(text)), type: "pkcs8", format: "der" });
