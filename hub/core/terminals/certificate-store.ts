/** All SQL of terminals' certificates. */
import type { TerminalId } from "../../../base/ids.ts";
import { type Reading, sql, type Within } from "../../store/store.ts";

/** A certificate of a terminal, with what its bytes say. */
export interface TerminalCertificate {
  readonly terminalId: TerminalId;
  /** Hex; begins with the time of issue. */
  readonly serial: string;
  /** SHA-256 of its DER, and of the key that it is for, in hex. */
  readonly fingerprint: string;
  readonly keyDigest: string;
  readonly pem: string;
  readonly issuedAt: number;
  readonly endsAt: number;
}

/**
 * replaced: the certificate that follows it was used. enrolled-again: the terminal came with a new claim. Until one of these
 * is so, an older and a newer one are good side by side, as nobody knows whether the newer one has arrived.
 */
export type ClosedWhy = "replaced" | "enrolled-again";

export interface CertificateRow extends TerminalCertificate {
  readonly firstUsedAt: number | null;
  readonly closedAt: number | null;
  readonly closedWhy: ClosedWhy | null;
}

const COLUMNS = `terminal_id AS terminalId, serial, fingerprint, key_digest AS keyDigest, pem, issued_at AS issuedAt,
  ends_at AS endsAt, first_used_at AS firstUsedAt, closed_at AS closedAt, closed_why AS closedWhy`;

const GET = sql<[string], CertificateRow>(`SELECT ${COLUMNS} FROM terminals__certificate WHERE serial = ?`);
const LIST = sql<[string, number], CertificateRow>(
  `SELECT ${COLUMNS} FROM terminals__certificate WHERE terminal_id = ? ORDER BY issued_at DESC, serial DESC LIMIT ?`,
);
const INSERT = sql<[string, string, string, string, string, number, number, number | null]>(
  `INSERT INTO terminals__certificate
     (serial, terminal_id, fingerprint, key_digest, pem, issued_at, ends_at, first_used_at)
   VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
);
const USE = sql<[number, string]>("UPDATE terminals__certificate SET first_used_at = ? WHERE serial = ?");
const CLOSE = sql<[number, ClosedWhy, string]>(
  "UPDATE terminals__certificate SET closed_at = ?, closed_why = ? WHERE serial = ?",
);
const REMOVE = sql<[string]>("DELETE FROM terminals__certificate WHERE serial = ?");

export const certificateStore = {
  get: (reading: Reading, serial: string) => reading.get(GET, [serial]),
  /** Newest first. */
  list: (reading: Reading, terminalId: string, limit: number) => reading.all(LIST, [terminalId, limit]),
  async insert(within: Within, one: TerminalCertificate, firstUsedAt: number | null): Promise<void> {
    const { serial, terminalId, fingerprint, keyDigest, pem, issuedAt, endsAt } = one;
    await within.run(INSERT, [serial, terminalId, fingerprint, keyDigest, pem, issuedAt, endsAt, firstUsedAt]);
  },
  async use(within: Within, serial: string, at: number): Promise<void> {
    await within.run(USE, [at, serial]);
  },
  async close(within: Within, serial: string, { why, at }: { why: ClosedWhy; at: number }): Promise<void> {
    await within.run(CLOSE, [at, why, serial]);
  },
  async remove(within: Within, serial: string): Promise<void> {
    await within.run(REMOVE, [serial]);
  },
};
