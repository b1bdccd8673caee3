/** `tillway verify-sale`: a payment by smart-card verification through the local API of a running agent. */
import type { Command } from "commander";
import { guarded } from "../../../base/daemon.ts";
import { Fault } from "../../../base/fault.ts";
import { newMessageId, systemRandom } from "../../../base/ids.ts";
import { PaymentAnswerSchema, paymentText, readAnswer } from "../../operator/answer.ts";
import { amountBody, connect, type Shared, withTarget } from "../../operator/cli.ts";
import { accepted } from "../../operator/sale.ts";
import { amountText } from "../../operator/words.ts";
import { type CardPaymentJson, CardPaymentViewSchema } from "./routes.ts";

/** Not approved: neither a failure of the program nor a success of the sale. */
const EXIT_NOT_APPROVED = 3;
/** The API answers "still running" after two minutes at most; nobody holds a card out for longer than this many of them. */
const WAITS_MAX = 10;

interface VerifySaleOptions extends Shared {
  readonly payee: string;
  readonly id?: string;
  readonly currency?: string;
}

export function registerVerifySale(program: Command): void {
  withTarget(
    program
      .command("verify-sale <amount>")
      .description(
        "takes a payment by smart-card verification, such as: tillway verify-sale 12.50 --payee merchant:shop:EUR",
      ),
  )
    .requiredOption("--payee <account>", "the account at the hub that is paid")
    .option("--id <id>", "the payment's id, at most 32 characters; the same id again never pays twice")
    .option("--currency <code>", "where no configuration tells it")
    .action(guarded(verifySale));
}

/** Interrupted, it cancels while the card is waited for; later the outcome comes all the same. */
async function verifySale(amount: string, options: VerifySaleOptions): Promise<void> {
  const { client, target } = connect(options);
  const id = options.id ?? `card-${newMessageId(systemRandom)}`;
  const body = { id, amount: amountBody(amount, target, options), payeeAccount: options.payee };
  // Too late or unheard, it changes nothing: the payment's own answer says what became of it.
  const onInterrupt = () =>
    void client.call({ method: "POST", path: `/v1/card-payments/${id}/cancel` }).catch(() => undefined);
  process.once("SIGINT", onInterrupt);
  console.error(`payment ${id}: present card, and leave it in`);
  for (let wait = 0; wait < WAITS_MAX; wait += 1) {
    const answer = await client.call({ method: "POST", path: "/v1/card-payments", body });
    const payment = readAnswer(PaymentAnswerSchema, accepted(answer));
    if (payment.status === "processing") continue;
    process.off("SIGINT", onInterrupt);
    console.log(
      options.json ? JSON.stringify(payment) : paymentText(payment, CardPaymentViewSchema.strip(), outcomeText),
    );
    if (payment.status !== "approved") process.exitCode = EXIT_NOT_APPROVED;
    return;
  }
  throw new Fault("transport.timeout", `payment ${id} does not end; ask again with the same id`);
}

function outcomeText({
  status,
  amount,
  payeeAccount,
  authCode,
  reason,
  detail,
  failedProcess,
}: CardPaymentJson): string {
  const parts = [
    [status, amount && amountText(amount), payeeAccount && `to ${payeeAccount}`].filter(Boolean).join(" "),
    authCode && `code ${authCode}`,
    detail,
    reason,
    failedProcess && `process ${failedProcess}`,
  ];
  return parts.filter(Boolean).join(", ");
}
