/** What an agent reads before its first sale, and does not start without: its journal and the keys of the card schemes. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { reasonOf } from "../../base/fault.ts";
import type { AgentConfig } from "../config.ts";
import type { Identity } from "../identity.ts";
import { signerOf } from "../journal/checkpoint.ts";
import { corruptFault } from "../journal/corrupt.ts";
import { refuseLost } from "../journal/epoch-note.ts";
import { openJournalReadOnly } from "../journal/journal-reader.ts";
import { verifyJournal } from "../journal/verify-file.ts";
import type { Finding } from "./finding.ts";

/** Reads all of it, so while no agent runs. Undefined where there is none yet. */
export async function examineJournal(
  dataDir: string,
  { terminalId, signingKey }: Pick<Identity, "terminalId" | "signingKey">,
): Promise<Finding | undefined> {
  const name = "journal";
  const path = join(dataDir, "journal.db");
  try {
    if (!statSync(path, { throwIfNoEntry: false })?.size) {
      refuseLost(path);
      return undefined;
    }
    using reader = openJournalReadOnly(path);
    if (reader.terminalId !== terminalId) {
      const what = `${path} is of ${reader.terminalId}, not of ${terminalId}; give this terminal a folder of its own`;
      return { level: "FAIL", name, what };
    }
    const { entries, archived, firstBad } = await verifyJournal(reader, signerOf(signingKey).publicKey);
    if (firstBad) throw corruptFault(path, firstBad);
    return { level: "ok", name, what: `${entries + archived} entries hold` };
  } catch (error) {
    return { level: "FAIL", name, what: reasonOf(error) };
  }
}

export async function examineKeys(emv: AgentConfig["emv"]): Promise<Finding> {
  const name = "card keys";
  const { readKeyFiles } = await import("../payment/emv-terminal.ts");
  try {
    const { caKeys, revoked } = readKeyFiles(emv);
    return { level: "ok", name, what: `${caKeys.length} of the schemes, ${revoked.length} certificates revoked` };
  } catch (error) {
    return { level: "FAIL", name, what: reasonOf(error) };
  }
}
