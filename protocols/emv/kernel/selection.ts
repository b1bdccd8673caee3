/**
 * Application selection (Book 1, 12.3 and 12.4; for contactless cards Book B, 3.3): which applications both sides support, and
 * which of them runs. Over PPSE only applications without a brand's kernel run; a card that offers others is sent to the
 * contact reader (RM13).
 */
import { sameBytes, toHex } from "../../../base/bytes.ts";
import { ok } from "../../../base/result.ts";
import { isWarning, type ResponseApdu, STATUS } from "../apdu.ts";
import { findTlv, findValue, type Tlv } from "../ber-tlv.ts";
import { PPSE_NAME, PSE_NAME, readRecordCommand, type SelectOccurrence, selectCommand } from "../commands.ts";
import { choose, end, type Part, send, templateChildren } from "./dialogue.ts";
import type { Candidate, Kernel, SupportedApplication, TerminalSettings } from "./kernel.ts";
import { codeTableOf, labelOf } from "./label.ts";

/** An application selected for the transaction. */
export interface SelectedApplication {
  readonly application: SupportedApplication;
  /** The card's DF name, tag 84. */
  readonly aid: Uint8Array;
  readonly label: string;
  /** What is in the FCI template, tag 6F. */
  readonly fci: readonly Tlv[];
}

/** What the card offers, as found; `seen` says why an empty list is empty. */
interface Found {
  readonly candidates: readonly Candidate[];
  readonly seen: "nothing" | "others" | "blocked";
}

const AID_BYTES_MIN = 5;
const AID_BYTES_MAX = 16;
const DIRECTORY_SFI_MAX = 10;
/** Far more records than a directory has; a card that never ends it has none. */
const DIRECTORY_RECORDS_MAX = 64;
/** Applications under one partial name. */
const OCCURRENCES_MAX = 16;
const BLOCKED = 0x6283;

/** Builds the candidate list. Ends when the card is blocked or offers nothing that may run here. */
export function* listCandidates(terminal: TerminalSettings): Part<readonly Candidate[]> {
  const found = yield* terminal.entry === "contactless" ? listByPpse(terminal) : listByContact(terminal);
  if (!found.ok) return found;
  const { candidates, seen } = found.value;
  if (candidates.length > 0) return ok(inOrder(candidates));
  if (seen === "blocked") return end("application-blocked", "every application that both sides support is blocked");
  if (terminal.entry === "contactless" && seen === "others") {
    return end("use-contact", "the card's contactless applications need a brand's kernel: insert it instead");
  }
  return end("no-application", "the card has no application that this terminal supports");
}

/** Book 1, 12.3.2: the directory first; without one, or without a match in it, the terminal's own list. */
function* listByContact(terminal: TerminalSettings): Part<Found> {
  const selected = yield* send(selectCommand(PSE_NAME));
  if (selected.status === STATUS.functionNotSupported) return cardBlocked();
  const entries = selected.status === STATUS.ok ? yield* readDirectory(selected.data) : undefined;
  const found = entries ? fromEntries(entries, terminal) : undefined;
  return found && found.candidates.length > 0 ? ok(found) : yield* listByAid(terminal);
}

const cardBlocked = () => end("card-blocked", "the card is blocked, or does not support selection (6A81)");

interface DirectoryEntry {
  /** What is in the application template, tag 61. */
  readonly children: readonly Tlv[];
  readonly codeTable: number | undefined;
}

/** Steps 1 to 3. Any error in the directory discards all of it. */
function* readDirectory(data: Uint8Array): Kernel<readonly DirectoryEntry[] | undefined> {
  const fci = templateChildren(data, 0x6f);
  const sfi = fci && findValue(fci, 0x88);
  const number = sfi?.length === 1 ? (sfi[0] ?? 0) : 0;
  if (!fci || number < 1 || number > DIRECTORY_SFI_MAX) return undefined;
  const codeTable = codeTableOf(fci);
  const entries: DirectoryEntry[] = [];
  for (let record = 1; record <= DIRECTORY_RECORDS_MAX; record += 1) {
    const read = yield* send(readRecordCommand({ sfi: number, record }));
    if (read.status === STATUS.recordNotFound) return entries;
    const children = read.status === STATUS.ok ? templateChildren(read.data, 0x70) : undefined;
    if (!children) return undefined;
    entries.push(...applicationTemplates(children).map((each) => ({ children: each, codeTable })));
  }
  return undefined;
}

const applicationTemplates = (objects: readonly Tlv[]): readonly (readonly Tlv[])[] =>
  objects.flatMap((object) => (object.tag === 0x61 && "children" in object ? [object.children] : []));

/** Entries without an ADF name, as those that point to further directories, name no application (12.2.3). */
function fromEntries(entries: readonly DirectoryEntry[], terminal: TerminalSettings): Found {
  const candidates: Candidate[] = [];
  for (const { children, codeTable } of entries) {
    const aid = findValue(children, 0x4f);
    if (!aid || !isAid(aid) || !supportedFor(terminal, aid)) continue;
    if (candidates.some((known) => sameBytes(known.aid, aid))) continue;
    candidates.push(candidateOf({ aid, objects: children, codeTable, terminal }));
  }
  return { candidates, seen: entries.length > 0 ? "others" : "nothing" };
}

function* listByPpse(terminal: TerminalSettings): Part<Found> {
  const selected = yield* send(selectCommand(PPSE_NAME));
  if (selected.status === STATUS.functionNotSupported) return cardBlocked();
  const fci = selected.status === STATUS.ok ? templateChildren(selected.data, 0x6f) : undefined;
  const directory = fci && findTlv(fci, 0xbf0c);
  const entries = directory && "children" in directory ? applicationTemplates(directory.children) : [];
  return ok(
    fromEntries(
      entries.map((children) => ({ children, codeTable: undefined })),
      terminal,
    ),
  );
}

/** Book 1, 12.3.3: SELECT by each of the terminal's AIDs, and NEXT while a partial name may have more. */
function* listByAid(terminal: TerminalSettings): Part<Found> {
  const candidates: Candidate[] = [];
  let seen: Found["seen"] = "nothing";
  for (const [index, application] of terminal.applications.entries()) {
    let occurrence: SelectOccurrence = "first";
    for (let round = 0; round < OCCURRENCES_MAX; round += 1) {
      const response: ResponseApdu = yield* send(selectCommand(application.aid, occurrence));
      // Only of the very first SELECT does 6A81 speak for the whole card (step 2).
      if (response.status === STATUS.functionNotSupported && index + round === 0) return cardBlocked();
      const probe = isSelected(response, occurrence) ? probed(application, response) : undefined;
      if (!probe) break;
      if (response.status === BLOCKED) seen = "blocked";
      else if (response.status === STATUS.ok && !candidates.some((known) => sameBytes(known.aid, probe.aid))) {
        const codeTable = codeTableOf(probe.fci);
        candidates.push(candidateOf({ aid: probe.aid, objects: probe.fci, codeTable, terminal }));
      }
      if (probe.aid.length === application.aid.length) break;
      occurrence = "next";
    }
  }
  return ok({ candidates, seen });
}

/** Steps 3 and 7: among several under one name a warning does not end the search, though it makes no candidate (step 6). */
const isSelected = ({ status }: ResponseApdu, occurrence: SelectOccurrence): boolean =>
  status === STATUS.ok || status === BLOCKED || (occurrence === "next" && isWarning(status));

/** Steps 3 to 6: the DF name that the card gave, when it is one that this entry of the terminal's list means. */
function probed(application: SupportedApplication, { data }: ResponseApdu): NamedFci | undefined {
  const named = readFci(data);
  return named && isAid(named.aid) && matches(application, named.aid) ? named : undefined;
}

interface NamedFci {
  /** Tag 84. */
  readonly aid: Uint8Array;
  /** What is in template 6F. */
  readonly fci: readonly Tlv[];
}

/** Undefined without one of the objects that every application's answer to SELECT has (11.3.4): 6F, and in it 84 and A5. */
function readFci(data: Uint8Array): NamedFci | undefined {
  const fci = templateChildren(data, 0x6f);
  const aid = fci && findValue(fci, 0x84);
  return fci && aid && findTlv(fci, 0xa5) ? { aid, fci } : undefined;
}

const isAid = (aid: Uint8Array): boolean => aid.length >= AID_BYTES_MIN && aid.length <= AID_BYTES_MAX;

/** 12.3.1: the whole name, or its beginning where the terminal allows that. */
const matches = ({ aid, partial }: SupportedApplication, name: Uint8Array): boolean =>
  (partial || name.length === aid.length) && sameBytes(name.subarray(0, aid.length), aid);

/** The most particular entry of the terminal's list for a name. */
function supportedFor(terminal: TerminalSettings, name: Uint8Array): SupportedApplication | undefined {
  return terminal.applications
    .filter((application) => matches(application, name))
    .toSorted((a, b) => b.aid.length - a.aid.length)[0];
}

interface CandidateInput {
  readonly aid: Uint8Array;
  readonly objects: readonly Tlv[];
  readonly codeTable: number | undefined;
  readonly terminal: TerminalSettings;
}

/** For an application to which the card gives no name. */
const unnamed = (aid: Uint8Array): string => toHex(aid).toUpperCase();

const CONFIRM = 0x80;
const PRIORITY = 0x0f;

/** Application Priority Indicator, tag 87 (12.2.3, table 13). */
function candidateOf({ aid, objects, codeTable, terminal }: CandidateInput): Candidate {
  const indicator = findValue(objects, 0x87)?.[0] ?? 0;
  return {
    aid,
    label: labelOf(objects, { codeTable, terminal }) ?? unnamed(aid),
    priority: indicator & PRIORITY,
    confirm: terminal.entry === "contact" && (indicator & CONFIRM) !== 0,
  };
}

const LAST = PRIORITY + 1;
const rank = ({ priority }: Candidate): number => (priority === 0 ? LAST : priority);
/** Highest first; of the same or no priority as the card lists them (12.4, rule 4). The sort is stable. */
const inOrder = (candidates: readonly Candidate[]): readonly Candidate[] =>
  candidates.toSorted((a, b) => rank(a) - rank(b));

export interface ChoiceState {
  readonly terminal: TerminalSettings;
  /** Why the candidate before this choice was removed. */
  readonly removed: Unusable | undefined;
  /** The cardholder has chosen before: then nothing runs any more without asking again (12.4). */
  readonly asked: boolean;
}

/** Final selection, rules 1 to 4 of 12.4. A contactless card shows its will by its order alone. */
export function* chooseCandidate(
  candidates: readonly Candidate[],
  { terminal, removed, asked }: ChoiceState,
): Part<{ readonly candidate: Candidate; readonly asked: boolean }> {
  const [first, second] = candidates;
  if (!first && removed === "blocked") return end("application-blocked", "the card's application is blocked");
  if (!first) return end("no-application", "none of the card's applications could be started");
  if (terminal.entry === "contactless" || (!second && !first.confirm && !asked)) {
    return ok({ candidate: first, asked });
  }
  const candidate = yield* choose(candidates);
  return candidate ? ok({ candidate, asked: true }) : end("cancelled", "none of the card's applications was chosen");
}

/** Why an application that was to run is a candidate no more (12.4; Book 3, 10.1). */
export type Unusable = "blocked" | "unusable";

/** The final SELECT. One that fails, or whose answer is of another form, removes the application (12.4). */
export function* selectFinally(candidate: Candidate, terminal: TerminalSettings): Part<SelectedApplication | Unusable> {
  const response = yield* send(selectCommand(candidate.aid));
  if (response.status === BLOCKED) return ok("blocked");
  const named = response.status === STATUS.ok ? readFci(response.data) : undefined;
  const application = named && supportedFor(terminal, named.aid);
  if (!application || !sameBytes(named.aid, candidate.aid)) return ok("unusable");
  const { aid, fci } = named;
  return ok({ application, aid, label: finalLabel(candidate, { fci, terminal }), fci });
}

/** What the card says of itself now. A preferred name whose code table only the directory has keeps the form read there (12.2.2). */
function finalLabel(
  { aid, label }: Candidate,
  { fci, terminal }: { readonly fci: readonly Tlv[]; readonly terminal: TerminalSettings },
): string {
  const codeTable = codeTableOf(fci);
  if (codeTable === undefined && findValue(fci, 0x9f12) && label !== unnamed(aid)) return label;
  return labelOf(fci, { codeTable, terminal }) ?? label;
}
