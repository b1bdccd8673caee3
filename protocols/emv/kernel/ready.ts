/** The first phase of a transaction: from selection to terminal action analysis (Book 3, 10.1 to 10.7). */
import { ok, type Result } from "../../../base/result.ts";
import { STATUS } from "../apdu.ts";
import type { Tag } from "../ber-tlv.ts";
import { decodeGetData, getDataCommand } from "../commands.ts";
import { decideFirst } from "./action.ts";
import { verifyCardholder } from "./cvm.ts";
import { type Part, readable, reading, report, send } from "./dialogue.ts";
import { type Initiated, initiate } from "./initiate.ts";
import type {
  Candidate,
  Kernel,
  KernelEnd,
  KernelStepReport,
  ReadyPhase,
  TerminalSettings,
  Transaction,
  TransactionSettings,
} from "./kernel.ts";
import { authenticateCard, recoverIssuerKeyEarly } from "./oda.ts";
import { readApplicationData } from "./read-data.ts";
import { applyRestrictions } from "./restrictions.ts";
import { type AtcRegisters, lookUpEarly, manageRisk, wantsAtcRegisters } from "./risk.ts";
import { chooseCandidate, listCandidates, selectFinally, type Unusable } from "./selection.ts";
import { terminalValues } from "./values.ts";

const TVR_BYTES = 5;
const TSI_BYTES = 2;

interface Started {
  readonly transaction: Transaction;
  readonly initiated: Initiated;
}

export function* readyTransaction(terminal: TerminalSettings, settings: TransactionSettings): ReadyPhase {
  const started = yield* start(terminal, settings);
  if (!started.ok) return started;
  const { transaction, initiated } = started.value;
  const data = yield* readApplicationData(initiated.afl, {
    values: transaction.values,
    given: initiated.given,
    meanwhile: workAhead(transaction),
  });
  if (!data.ok) return data;
  report(transaction, "read", "the application's records are read");
  const authenticated = yield* authenticateCard(transaction, { data: data.value, pdolValues: initiated.pdolValues });
  if (!authenticated.ok) return authenticated;
  const restricted = judged(transaction, "restrictions", () => applyRestrictions(transaction));
  if (!restricted.ok) return restricted;
  const verified = judged(transaction, "cvm", () => verifyCardholder(transaction));
  if (!verified.ok) return verified;
  const registers = wantsAtcRegisters(transaction) ? yield* readRegisters(transaction) : {};
  const managed = judged(transaction, "risk", () => manageRisk(transaction, registers));
  if (!managed.ok) return managed;
  const proposed = decideFirst(transaction);
  report(transaction, "action", `the terminal asks for ${proposed}`);
  return ok({ transaction, proposed });
}

/** What needs not all of the records, each once. */
function workAhead(transaction: Transaction): () => void {
  let due = true;
  return () => {
    if (due) due = !lookUpEarly(transaction);
    recoverIssuerKeyEarly(transaction);
  };
}

type Chosen = Result<{ readonly candidate: Candidate; readonly asked: boolean }, KernelEnd>;

/** Selection and initiation, over as many candidates as it takes (Book 1, 12.4; Book 3, 10.1). */
function* start(terminal: TerminalSettings, settings: TransactionSettings): Part<Started> {
  const listed = yield* listCandidates(terminal);
  if (!listed.ok) return listed;
  let candidates: readonly Candidate[] = listed.value;
  let asked = false;
  let removed: Unusable | undefined;
  for (;;) {
    const choice: Chosen = yield* chooseCandidate(candidates, { terminal, removed, asked });
    if (!choice.ok) return choice;
    const { candidate } = choice.value;
    const started = yield* attempt(candidate, { terminal, settings });
    if (!started.ok) return started;
    if (typeof started.value !== "string") return { ok: true, value: started.value };
    removed = started.value;
    asked = choice.value.asked;
    // One fewer each time, so that this ends.
    candidates = candidates.filter((each) => each !== candidate);
  }
}

interface Surroundings {
  readonly terminal: TerminalSettings;
  readonly settings: TransactionSettings;
}

function* attempt(candidate: Candidate, { terminal, settings }: Surroundings): Part<Started | Unusable> {
  const selection = yield* selectFinally(candidate, terminal);
  if (!selection.ok) return selection;
  const selected = selection.value;
  if (typeof selected === "string") return ok(selected);
  const tvr = new Uint8Array(TVR_BYTES);
  const tsi = new Uint8Array(TSI_BYTES);
  const values = terminalValues({ terminal, settings, selected, tvr, tsi });
  const steps: KernelStepReport[] = [];
  report({ steps, tvr, tsi }, "selection", `application "${selected.label}"`);
  const initiated = yield* initiate(selected, values);
  if (!initiated.ok) return initiated;
  if (typeof initiated.value === "string") return ok(initiated.value);
  const transaction: Transaction = {
    terminal,
    settings,
    application: selected.application,
    aid: selected.aid,
    label: selected.label,
    values,
    tvr,
    tsi,
    aip: initiated.value.aip,
    oda: "none",
    cdaPending: false,
    odaFailure: undefined,
    cvm: "not-performed",
    scriptResults: new Uint8Array(0),
    steps,
  };
  report(transaction, "initiate", "the card gives its profile and its file locator");
  return ok({ transaction, initiated: initiated.value });
}

/** A decision over what the card gave: data of another form than the books' end the transaction (Book 3, 7.5). */
function judged(
  transaction: Transaction,
  step: "restrictions" | "cvm" | "risk",
  decide: () => void,
): Result<undefined, KernelEnd> {
  const done = reading(STEP_NAMES[step], decide);
  if (!done.ok) return done;
  report(transaction, step, step === "cvm" ? `cardholder verification: ${transaction.cvm}` : STEP_NAMES[step]);
  return ok(undefined);
}

const STEP_NAMES = {
  restrictions: "processing restrictions",
  cvm: "cardholder verification",
  risk: "terminal risk management",
} as const;

/** Velocity checking asks the card for both counters (Book 3, 10.6.3). */
function* readRegisters(transaction: Transaction): Kernel<AtcRegisters> {
  const atc = yield* readRegister(transaction, 0x9f36);
  const lastOnlineAtc = yield* readRegister(transaction, 0x9f13);
  return { ...(atc !== undefined && { atc }), ...(lastOnlineAtc !== undefined && { lastOnlineAtc }) };
}

const REGISTER_BYTES = 2;

/** Undefined when the card does not tell, which is an outcome of its own. */
function* readRegister({ values }: Transaction, tag: Tag): Kernel<number | undefined> {
  const response = yield* send(getDataCommand(tag));
  const value = response.status === STATUS.ok ? readable(() => decodeGetData(response.data, tag)) : undefined;
  if (value?.length !== REGISTER_BYTES) return undefined;
  values.set(tag, value);
  const [high = 0, low = 0] = value;
  return high * 0x100 + low;
}
