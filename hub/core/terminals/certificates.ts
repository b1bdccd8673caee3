/**
 * What a terminal's certificate still entitles to. A renewal makes the next one beside the present one; the first use of the
 * next closes the present one, so that an answer that was lost on its way locks nobody out, and a copy of the older key is
 * worth nothing from then on. Whoever shows a certificate so closed is a second holder of one identity.
 */
import type { TerminalId } from "../../../base/ids.ts";
import type { Reading, Within } from "../../store/store.ts";
import {
  type CertificateRow,
  type ClosedWhy,
  certificateStore,
  type TerminalCertificate,
} from "./certificate-store.ts";

/**
 * all: a terminal in good standing. late: it has ended, so it may be renewed and send advices (RM18). revoked: it is heard
 * only to be told so, as a terminal that is refused in silence would go on to sell under its lease. A certificate that
 * another one has followed is refused whoever shows it: "copy" when its successor is in use, "closed" after a new claim.
 */
export type Standing = "all" | "late" | "revoked" | "copy" | "closed" | "unknown";

export interface Judged {
  readonly standing: Standing;
  /** It is good and was never shown before: it counts once `use` has noted it. */
  readonly isFirst: boolean;
}

export interface CertificatesOptions {
  terminal(reading: Reading, id: TerminalId): Promise<{ readonly revokedAt: number | null } | undefined>;
  /** The terminal has a certificate in use, and needs no secret of an earlier version any more. */
  onUse(within: Within, id: TerminalId): Promise<void>;
}

/** Rows of a terminal that are looked at and kept. An older one counts as closed without its row. */
export const CERTIFICATES_KEPT_MAX = 8;
/** Certificates of a terminal that were issued and not used yet; far below the rows kept, so that the present one stays. */
const UNUSED_MAX = 3;

export function createCertificates({ terminal, onUse }: CertificatesOptions) {
  /** Of a certificate that this hub's authority has issued. */
  async function standing(reading: Reading, shown: TerminalCertificate, now: number): Promise<Judged> {
    const known = await terminal(reading, shown.terminalId);
    if (!known) return only("unknown");
    const row = await certificateStore.get(reading, shown.serial);
    const isKnown = row ? row.fingerprint === shown.fingerprint : await isNewest(reading, shown);
    if (!isKnown) return only("closed");
    if (row?.closedWhy) return only(row.closedWhy === "replaced" ? "copy" : "closed");
    if (known.revokedAt !== null) return only("revoked");
    return { standing: now < shown.endsAt ? "all" : "late", isFirst: row === undefined || row.firstUsedAt === null };
  }

  return {
    standing,

    /** The same, judged within the transaction that notes its first use. */
    async use(within: Within, shown: TerminalCertificate, now: number): Promise<Standing> {
      const judged = await standing(within, shown, now);
      if (judged.isFirst) {
        await firstUse(within, shown, now);
        await onUse(within, shown.terminalId);
      }
      return judged.standing;
    },

    /** The certificate that was issued for this key already and not used yet: a renewal whose answer was lost. */
    async waiting(reading: Reading, id: TerminalId, keyDigest: string): Promise<TerminalCertificate | undefined> {
      return (await rowsOf(reading, id)).find((row) => row.keyDigest === keyDigest && isUnused(row));
    },

    /**
     * Notes a certificate beside the present one. Others that were issued and not used yet stay too: a terminal asks with one
     * key until it is answered, so another key is another's, and the first of them to be used shows the others up as copies.
     */
    async renewed(within: Within, one: TerminalCertificate): Promise<void> {
      const unused = (await rowsOf(within, one.terminalId)).filter(isUnused);
      for (const { serial } of unused.slice(UNUSED_MAX - 1)) await certificateStore.remove(within, serial);
      await add(within, one);
    },

    /** Notes the certificate of a new enrolment: all before it are closed at once. */
    async enrolled(within: Within, one: TerminalCertificate, now: number): Promise<void> {
      await closeAll(within, await rowsOf(within, one.terminalId), { why: "enrolled-again", at: now });
      await add(within, one);
    },

    /** Newest first. */
    list: (reading: Reading, id: TerminalId): Promise<readonly CertificateRow[]> =>
      certificateStore.list(reading, id, CERTIFICATES_KEPT_MAX),
  };
}

const only = (standing: Standing): Judged => ({ standing, isFirst: false });
const rowsOf = (reading: Reading, id: TerminalId) => certificateStore.list(reading, id, CERTIFICATES_KEPT_MAX + 1);
const isUnused = ({ firstUsedAt, closedWhy }: CertificateRow): boolean => firstUsedAt === null && closedWhy === null;

/**
 * A certificate of ours that is not in the book is either older than all that are, or newer: then this hub was restored from
 * a backup that was made before it was issued (RM18).
 */
const isNewest = async (reading: Reading, shown: TerminalCertificate): Promise<boolean> =>
  (await rowsOf(reading, shown.terminalId)).every(({ issuedAt }) => shown.issuedAt > issuedAt);

async function firstUse(within: Within, shown: TerminalCertificate, now: number): Promise<void> {
  if (await certificateStore.get(within, shown.serial)) await certificateStore.use(within, shown.serial, now);
  else await certificateStore.insert(within, shown, now);
  const others = await rowsOf(within, shown.terminalId);
  const older = others.filter(({ serial, issuedAt }) => serial !== shown.serial && issuedAt <= shown.issuedAt);
  await closeAll(within, older, { why: "replaced", at: now });
}

interface Closing {
  readonly why: ClosedWhy;
  readonly at: number;
}

async function closeAll(within: Within, rows: readonly CertificateRow[], closing: Closing): Promise<void> {
  for (const { serial, closedWhy } of rows) if (!closedWhy) await certificateStore.close(within, serial, closing);
}

async function add(within: Within, one: TerminalCertificate): Promise<void> {
  await certificateStore.insert(within, one, null);
  const [, ...older] = await rowsOf(within, one.terminalId);
  for (const { serial } of older.slice(CERTIFICATES_KEPT_MAX - 1)) await certificateStore.remove(within, serial);
}
