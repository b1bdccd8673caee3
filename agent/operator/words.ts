/** What the command line prints of the local API's answers: plain, aligned, amounts in the currency's own decimals. */
import { isCurrency, toDecimal } from "../../base/money.ts";
import type { PaymentJson } from "../api/api-schemas.ts";
import type { Status } from "../health/health.ts";
import type { PaymentStage } from "../payment/payments.ts";

interface Amount {
  readonly minor: string;
  readonly currency: string;
}

export const amountText = ({ minor, currency }: Amount): string =>
  isCurrency(currency) ? `${toDecimal({ minor: BigInt(minor), currency })} ${currency}` : `${minor} ${currency}`;

/** Columns as wide as their widest cell, two spaces apart; the last one runs free. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join("  "),
    )
    .map((line) => line.trimEnd())
    .join("\n");
}

/** What the cashier should know while the payment runs; most stages are not worth a word. */
const STAGE_WORDS: Partial<Record<PaymentStage, string>> = {
  "intent-stored": "present card or code",
  "card-presented": "reading the card, leave it in",
  "code-presented": "checking the code",
  "online-request-sent": "going online",
  "online-unknown-stored": "no answer from the hub, deciding offline",
  "print-started": "printing",
};
export const stageWords = (stage: string): string | undefined =>
  Object.hasOwn(STAGE_WORDS, stage) ? STAGE_WORDS[stage as PaymentStage] : undefined;
/** A refund goes back to the card of its original, which pays a tip as well: nobody has to present it. */
export const refundStageWords = (stage: string): string | undefined =>
  stage === "intent-stored" || stage === "online-unknown-stored" ? undefined : stageWords(stage);

/** A pre-authorisation is never decided offline, and needs a card. */
export const holdStageWords = (stage: string): string | undefined => {
  if (stage === "intent-stored") return "present card";
  return stage === "online-unknown-stored" ? "no answer from the hub" : stageWords(stage);
};

const TICKET_WORDS: Readonly<Record<PaymentJson["ticket"], string | undefined>> = {
  none: undefined,
  pending: "receipt pending",
  printed: "receipt printed",
  "possibly-printed": "receipt possibly printed",
};

/** The one line at the end of a payment. */
export function outcomeText(payment: PaymentJson): string {
  const what = payment.operation === "purchase" ? "" : `${payment.operation} `;
  const parts = [
    `${what}${payment.status} ${amountText(payment.amount)}`,
    payment.cashback && `${amountText(payment.cashback)} of it in cash`,
    payment.deferred ? "deferred, at the merchant's risk" : payment.mode,
    payment.card && `${payment.card.label} ${payment.card.maskedPan}`,
    payment.maskedAccount && `account ${payment.maskedAccount}`,
    payment.payingDevice && `phone ${payment.payingDevice}`,
    payment.approvalCode && `code ${payment.approvalCode}`,
    payment.status === "approved" && payment.heldUntil && `held until ${payment.heldUntil}`,
    payment.completedBy && `completed by ${payment.completedBy}`,
    payment.detail ?? payment.reason,
    TICKET_WORDS[payment.ticket],
    `id ${payment.id}`,
  ];
  return parts.filter((part) => part !== undefined && part !== false && part !== "").join(", ");
}

/** One line of `tillway payments`. */
export const paymentLine = (payment: PaymentJson): string => `${payment.startedAt}  ${outcomeText(payment)}`;

export function devicesText(devices: Status["devices"]): string {
  if (devices.length === 0) return "no devices are configured";
  return table(devices.map(({ id, state, uri, detail }) => [id, state, uri, detail]));
}

export function statusText(status: Status): string {
  const { queue, lease, certificate, hub, journal, disk, clock } = status;
  const rows = [
    ["selling", status.selling],
    ["terminal", `${status.terminalId}, version ${status.version}, up ${durationText(status.uptimeSec)}`],
    ["hub", `${hub.state} (${hub.via})${hubTrouble(hub)}`],
    ...(certificate ? [["identity", `certified until ${certificate.endsAt}`]] : []),
    ["lease", lease ? leaseText(lease) : "none"],
    ["queue", queueSummary(queue, lease?.remaining.currency)],
    ["journal", `entry ${journal.sequence} of ${journal.epoch}`],
    ["disk", diskText(disk)],
    ["clock", clock.aheadOfHubMs === undefined ? `${clock.now}, not compared with the hub` : clockText(clock)],
    ...status.devices.map(({ id, state, detail }) => [id, `${state}: ${detail}`]),
  ];
  return table(rows);
}

function hubTrouble({ silent, advicesOnly }: Status["hub"]): string {
  if (silent) return ": connected, but the hub does not answer";
  return advicesOnly ? ": this terminal's certificate has ended, so the hub takes only what is stored" : "";
}

const leaseText = (lease: NonNullable<Status["lease"]>): string =>
  `${amountText(lease.remaining)} or ${lease.remainingCount} sales left, ${amountText(lease.perSale)} each, until ${lease.expiresAt}`;

/** How much waits, since when, worth what, and how long it takes at the present rate. */
export function queueSummary(queue: Status["queue"], currency: string | undefined): string {
  const { depth, oldestAgeSec, outstandingMinor, ratePerSec, etaSec, quarantined } = queue;
  const sum = currency !== undefined && outstandingMinor !== "0" && amountText({ minor: outstandingMinor, currency });
  const parts = [
    depth === 0 ? "empty" : `${depth} waiting, oldest ${durationText(oldestAgeSec)}`,
    sum ? `${sum} sold offline` : "",
    depth > 0 && etaSec !== undefined ? `about ${durationText(etaSec)} at ${ratePerSec} a second` : "",
    quarantined > 0 ? `${quarantined} quarantined` : "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function diskText({ freeMb, reserveMb, leftBytes, hoursLeft }: Status["disk"]): string {
  const hours =
    hoursLeft === undefined ? "" : `, about ${durationText(hoursLeft * SECONDS_PER_HOUR)} at the present rate`;
  const left = leftBytes === undefined ? "" : `; ${leftBytes} bytes until offline sales stop${hours}`;
  return `${freeMb} MB free, ${reserveMb} MB kept${left}`;
}
const SECONDS_PER_HOUR = 3_600;

const clockText = ({ now, aheadOfHubMs = 0 }: Status["clock"]): string =>
  `${now}, ${Math.abs(aheadOfHubMs / 1_000).toFixed(1)} s ${aheadOfHubMs < 0 ? "behind" : "ahead of"} the hub`;

export function durationText(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

/** One line of `tillway tail`. */
export function eventText({ type, data }: { readonly type: string; readonly data: unknown }): string {
  const fields = data as { id?: string; stage?: string; state?: string; detail?: string; payment?: PaymentJson };
  if (fields.payment) return `${type}  ${outcomeText(fields.payment)}`;
  return [type, fields.id, fields.stage ?? fields.state, fields.detail].filter((word) => word !== undefined).join("  ");
}
