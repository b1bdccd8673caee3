/**
 * Checkpoints: the terminal's signature under a place in its chain. What lies before one that holds need not be read again
 * before the first sale, and cannot be written anew by who has the file and not the key.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import { Fault, isFault } from "../../base/fault.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import { Base64Schema, DigestSchema, EpochSchema, TerminalIdSchema, TimeSchema } from "../../wire/common.ts";
import { openSigned, publicKeyText, readPublicKey, type Signed, signText } from "../../wire/signing.ts";
import type { Anchor, ChainError, ChainOwner } from "./chain.ts";

const CheckpointSchema = z.strictObject({
  v: z.literal(1),
  /** `cut`: the entries up to it left the file for an archive, and the chain of the file begins after it. */
  kind: z.enum(["head", "cut"]),
  terminalId: TerminalIdSchema,
  epoch: EpochSchema,
  sequence: z.int().min(0),
  forward: z.int().min(0),
  hash: DigestSchema,
  at: TimeSchema,
  publicKey: Base64Schema,
  /** As `OpenPayments.snapshot` wrote it: what a restart must look at. */
  open: z.string().max(250_000).optional(),
  /** No entry below it waits for the hub. */
  queueFloor: z.int().min(0).optional(),
});
export type Checkpoint = z.infer<typeof CheckpointSchema>;

export interface Signer {
  readonly key: KeyObject;
  /** SPKI in base64. */
  readonly publicKey: string;
}
export const signerOf = (key: KeyObject): Signer => ({ key, publicKey: publicKeyText(createPublicKey(key)) });

export const signCheckpoint = (checkpoint: Omit<Checkpoint, "v" | "publicKey">, signer: Signer): Signed =>
  signText(
    "journal-checkpoint",
    JSON.stringify({ v: 1, ...checkpoint, publicKey: signer.publicKey } satisfies Checkpoint),
    signer.key,
  );

export interface CheckpointRow extends Signed {
  /** Where its row says that it stands. */
  readonly sequence: number;
}

export type CheckpointStatements = ReturnType<typeof prepareCheckpoints>;

export function prepareCheckpoints(database: Sqlite) {
  const all = "SELECT sequence, text, signature FROM journal__checkpoint";
  return {
    newest: database.prepare<[], CheckpointRow>(`${all} ORDER BY sequence DESC LIMIT 1`),
    all: database.prepare<[], CheckpointRow>(`${all} ORDER BY sequence`),
    /** Where one stands already, as after a close with nothing new, it is replaced: the queue's floor may have risen. */
    put: database.prepare("INSERT OR REPLACE INTO journal__checkpoint (sequence, text, signature) VALUES (?, ?, ?)"),
    cut: database.prepare<[], CheckpointRow>(
      "SELECT last AS sequence, text, signature FROM journal__archive ORDER BY last DESC LIMIT 1",
    ),
  };
}

export interface Expected extends ChainOwner {
  /** The key that must have signed; without one, the key that the checkpoint names is taken, which proves only that it is whole. */
  readonly publicKey?: string;
  readonly kind: Checkpoint["kind"];
}

/** The checkpoint, or what is wrong with it. */
export function readCheckpoint(row: CheckpointRow, expected: Expected): Checkpoint | ChainError {
  const wrong = (why: string): ChainError => ({ sequence: row.sequence, why: `has a checkpoint that ${why}` });
  try {
    const key = keyIn(row.text);
    if (expected.publicKey !== undefined && key !== expected.publicKey) return wrong(ANOTHER_KEY);
    const signed = { text: row.text, signature: row.signature };
    const checkpoint = openSigned("journal-checkpoint", signed, readPublicKey(key), CheckpointSchema);
    if (checkpoint.terminalId !== expected.terminalId || checkpoint.epoch !== expected.epoch) {
      return wrong("is of another terminal's journal");
    }
    if (checkpoint.sequence !== row.sequence || checkpoint.kind !== expected.kind)
      return wrong("speaks of another place");
    return checkpoint;
  } catch (error) {
    return wrong(isFault(error, "signature.invalid") ? "was not signed by this terminal" : "is damaged");
  }
}

export const ANOTHER_KEY =
  "another key signed: if this terminal was enrolled again, run tillway journal adopt; else the file is not its own";

const KeySchema = z.object({ publicKey: Base64Schema });

function keyIn(text: string): string {
  const parsed = KeySchema.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Fault("message.invalid", "no key");
  return parsed.data.publicKey;
}

export const isError = (read: Checkpoint | ChainError): read is ChainError => "why" in read;

export const anchorOf = ({ sequence, forward, hash }: Anchor): Anchor => ({ sequence, forward, hash });
