/** What is wrong with a simulated issuer, as its control socket sets it. */
import { Fault } from "../../base/fault.ts";
import type { ControlCommand, ControlValue } from "../control.ts";
import { GARBAGE_KINDS, type GarbageKind } from "./garbage.ts";

export interface Faults {
  /** Nobody is let in, and who was is thrown out. */
  readonly down: boolean;
  /** What comes is read and not looked at. */
  readonly mute: boolean;
  /** So many more messages are posted, and their answers lost. */
  readonly lose: number;
  /** Each message takes so long, one after another. */
  readonly slowMs: number;
  /** Each is done at once and its answer sent so much later. */
  readonly lateMs: number;
  /** Each answer is sent twice. */
  readonly double: boolean;
  /** On every connection, so often. */
  readonly garbage?: { readonly kinds: readonly GarbageKind[]; readonly perSec: number } | undefined;
  /** Response code of every request. */
  readonly decline?: string | undefined;
  /** Response code of every approval that is told afterwards. */
  readonly refuseAdvices?: string | undefined;
  /** An account that has too little gives what it has. */
  readonly partial: boolean;
  /** Its totals have one debit more than its books. */
  readonly miscount: boolean;
  /** It gives no cash with a purchase. */
  readonly refuseCashback: boolean;
  /** Template 71 or 72 in hex, for the card of every request. */
  readonly script?: string | undefined;
  /** It has signed off. */
  readonly signedOff: boolean;
}

export const WELL: Faults = {
  down: false,
  mute: false,
  lose: 0,
  slowMs: 0,
  lateMs: 0,
  double: false,
  garbage: undefined,
  decline: undefined,
  refuseAdvices: undefined,
  partial: false,
  miscount: false,
  refuseCashback: false,
  script: undefined,
  signedOff: false,
};

const DELAY_MS_MAX = 600_000;
const LOSE_MAX = 1_000_000;
const PER_SEC_MAX = 1_000;
const ALL_KINDS: readonly GarbageKind[] = ["truncated", "over-long", "wrongly-packed", "unsolicited"];

/** By the command that sets them. Throws Fault `codec.invalid` for a wrong value. */
export const FAULT_COMMANDS: Readonly<Record<string, (command: ControlCommand) => Partial<Faults>>> = {
  down: (command) => ({ down: flag(command, "on") }),
  mute: (command) => ({ mute: flag(command, "on") }),
  lose: (command) => ({ lose: whole(command, "answers", LOSE_MAX) }),
  slow: (command) => ({ slowMs: whole(command, "ms", DELAY_MS_MAX) }),
  late: (command) => ({ lateMs: whole(command, "ms", DELAY_MS_MAX) }),
  double: (command) => ({ double: flag(command, "on") }),
  partial: (command) => ({ partial: flag(command, "on") }),
  miscount: (command) => ({ miscount: flag(command, "on") }),
  "refuse-cashback": (command) => ({ refuseCashback: flag(command, "on") }),
  decline: (command) => ({ decline: codeOf(command) }),
  "refuse-advices": (command) => ({ refuseAdvices: codeOf(command) }),
  script: (command) => ({ script: scriptOf(command) }),
  garbage: (command) => ({ garbage: garbageOf(command) }),
  "sign-off": () => ({ signedOff: true }),
  "sign-on": () => ({ signedOff: false }),
};

/** `garbage perSec=100 kind=truncated`; `all` is every kind that leaves the next message readable; perSec=0 ends it. */
function garbageOf(command: ControlCommand): Faults["garbage"] {
  const perSec = whole(command, "perSec", PER_SEC_MAX);
  if (perSec === 0) return undefined;
  const { kind = "all" } = command;
  const kinds = kind === "all" ? ALL_KINDS : GARBAGE_KINDS.filter((known) => known === kind);
  if (kinds.length === 0) throw wrong(command, `"kind" as all or one of ${GARBAGE_KINDS.join(", ")}`, kind);
  return { kinds, perSec };
}

/** `code=51`; undefined for `code=none`, which ends it. */
function codeOf(command: ControlCommand): string | undefined {
  const code = String(command["code"] ?? "");
  if (code === "none") return undefined;
  if (!/^[0-9A-Z]{2}$/.test(code)) throw wrong(command, '"code" as two characters of DE 39, or none', command["code"]);
  return code;
}

/** `hex=71…`; undefined for `hex=none`, which ends it. */
function scriptOf(command: ControlCommand): string | undefined {
  const hex = String(command["hex"] ?? "");
  if (hex === "none") return undefined;
  if (!/^7[12](?:[0-9a-f]{2}){1,127}$/.test(hex))
    throw wrong(command, '"hex" as a template 71 or 72, or none', command["hex"]);
  return hex;
}

function flag(command: ControlCommand, key: string): boolean {
  const value = command[key];
  if (typeof value !== "boolean") throw wrong(command, `"${key}" as true or false`, value);
  return value;
}

function whole(command: ControlCommand, key: string, max: number): number {
  const value = command[key];
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > max) {
    throw wrong(command, `"${key}" as a whole number from 0 to ${max}`, value);
  }
  return value;
}

const wrong = (command: ControlCommand, wanted: string, value: ControlValue | undefined): Fault =>
  new Fault("codec.invalid", `"${command.do}" needs ${wanted}, not ${JSON.stringify(value ?? null)}`);
