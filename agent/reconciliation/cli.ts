/** `tillway reconcile`: compares a day with the hub, entry by entry. */
import type { Command } from "commander";
import { guarded } from "../../base/daemon.ts";
import { type DayReport, DayReportSchema } from "../../wire/reconciliation.ts";
import { readAnswer } from "../operator/answer.ts";
import { connect, type Shared, withTarget } from "../operator/cli.ts";
import { accepted } from "../operator/sale.ts";
import { table } from "../operator/words.ts";

interface Options extends Shared {
  readonly day?: string;
}

export function registerReconcile(program: Command): void {
  withTarget(
    program
      .command("reconcile")
      .description(
        "compares a day with the hub, entry by entry; ends with 0 when they agree, with 1 and the list else",
      ),
  )
    .option("--day <date>", "YYYY-MM-DD in the site's time zone; today when not said")
    .action(guarded(reconcile));
}

async function reconcile({ day, ...options }: Options): Promise<void> {
  const body = day === undefined ? {} : { day };
  const json = accepted(await connect(options).client.call({ method: "POST", path: "/v1/reconciliation", body }));
  const report = readAnswer(DayReportSchema, json);
  console.log(options.json ? JSON.stringify(json) : reportText(report));
  if (report.differences.length > 0) process.exitCode = 1;
}

function reportText({ businessDate, agreed, differences, more, unexplained }: DayReport): string {
  if (differences.length === 0) return `${businessDate}: the hub agrees with all ${agreed} entries`;
  const rows = differences.map(({ sequence, paymentId, what, agent, hub, reason, explained }) => [
    sequence === undefined ? "" : String(sequence),
    paymentId ?? "",
    what,
    agent === undefined ? "" : `here ${agent.slice(0, 16)}`,
    hub === undefined ? "" : `hub ${hub.slice(0, 16)}`,
    [reason, explained ?? "NOT EXPLAINED"].filter((word) => word !== undefined).join("  "),
  ]);
  const rest = more > 0 ? [`and ${more} more`] : [];
  const sum = `${businessDate}: ${agreed} entries agree, ${differences.length + more} differ, ${unexplained} of them unexplained`;
  return [table(rows), ...rest, sum].join("\n");
}
