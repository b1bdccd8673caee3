/** `tillway queue …`: what waits for the hub, and what a person does to one entry of it. */
import { type Command, Option } from "commander";
import { z } from "zod";
import { guarded } from "../../../base/daemon.ts";
import { Fault } from "../../../base/fault.ts";
import { QueueDetailSchema, QueueViewSchema } from "../../api/queue-schemas.ts";
import type { ApiClient, TargetOptions } from "../../client.ts";
import { StatusSchema } from "../../health/health.ts";
import { readAnswer } from "../answer.ts";
import { connect, type Look, type Shared, show, withTarget } from "../cli.ts";
import { accepted } from "../sale.ts";
import { queueDetailText, queueText } from "./words.ts";

const Views = z.object({
  summary: StatusSchema.shape.queue.extend({ currency: z.string().optional() }),
  entries: z.array(QueueViewSchema),
});
const Details = z.object({ entries: z.array(QueueDetailSchema) });

const EXAMPLES = `
Examples:
  tillway queue                                             everything, with age, tries and last error
  tillway queue list --state quarantined                    what the hub set aside
  tillway queue show 1042                                   one entry, what was done to it, and what to do
  tillway queue force sale-77 --by ann --why "end of day"   sends it now, ahead of others
  tillway queue retry 1042 --by ann --why "hub was mended"  asks the hub again about what it set aside
  tillway queue cancel 1042 --by ann --why "wrong amount"   ends it; nothing is charged
  tillway queue retry                                       tries the hub now with all that rests

ID is the entry's number, as list shows it, or the payment's id; write '#1042' where a payment has a number for its id.
`;

const ACTS = [
  ["force <id>", "sends one entry now, ahead of others, whatever rest it is in"],
  ["cancel <id>", "ends an entry that was never sent, or that the hub set aside"],
] as const;

/** How the commands speak with the agent and with the person. */
export interface QueueTools {
  connect(options: TargetOptions): { readonly client: ApiClient };
  show(options: Shared, look: Look): Promise<void>;
  print(line: string): void;
}

const TOOLS: QueueTools = { connect, show, print: (line) => console.log(line) };

export function registerQueue(program: Command, tools = TOOLS): void {
  const queue = program.command("queue").description("the store-and-forward queue").addHelpText("after", EXAMPLES);
  withTarget(queue.command("list", { isDefault: true }).description("lists entries, oldest first"))
    .option("--state <state>", "eligible, forwarding, processed, declined, expired, quarantined or voided")
    .option("--limit <count>", "the newest so many, at most 1000", "100")
    .action(
      guarded(({ state, limit, ...options }: Shared & { state?: string; limit: string }) => {
        const query = new URLSearchParams({ limit, ...(state !== undefined && { state }) });
        return tools.show(options, {
          path: `/v1/queue?${query}`,
          read: (json) => queueText(readAnswer(Views, json)),
        });
      }),
    );
  withTarget(
    queue.command("show <id>").description("shows one entry, or all of a payment: what was done to it, and what to do"),
  ).action(
    guarded((id: string, options: Shared) =>
      tools.show(options, {
        path: `/v1/queue/${encodeURIComponent(id)}`,
        read: (json) => readAnswer(Details, json).entries.map(queueDetailText).join("\n\n"),
      }),
    ),
  );
  for (const [usage, description] of ACTS) {
    const verb = usage.split(" ")[0] ?? usage;
    withActor(withTarget(queue.command(usage).description(description)), { mandatory: true }).action(
      guarded((id: string, options: Acting) => act(tools, options, { id, verb })),
    );
  }
  const retry = queue
    .command("retry [id]")
    .description("asks the hub again about one entry that it set aside; without an id, tries now with all that rests");
  withActor(withTarget(retry), { mandatory: false }).action(
    guarded((id: string | undefined, options: Acting) =>
      id === undefined ? retryAll(tools, options) : act(tools, options, { id, verb: "retry" }),
    ),
  );
}

interface Acting extends Shared {
  readonly by?: string;
  readonly why?: string;
}

/** Kept in the journal with the act, and shown by `queue show`. */
const withActor = (command: Command, { mandatory }: { readonly mandatory: boolean }): Command =>
  command
    .addOption(new Option("--by <name>", "who does it").makeOptionMandatory(mandatory))
    .addOption(new Option("--why <text>", "why; kept for good").makeOptionMandatory(mandatory));

async function act(
  { connect, print }: QueueTools,
  { by, why, ...options }: Acting,
  { id, verb }: { readonly id: string; readonly verb: string },
): Promise<void> {
  if (by === undefined || why === undefined)
    throw new Fault("config.invalid", "say who does it and why: --by NAME --why TEXT; both are kept in the journal");
  const path = `/v1/queue/${encodeURIComponent(id)}/${verb}`;
  const json = accepted(await connect(options).client.call({ method: "POST", path, body: { by, why } }));
  print(options.json ? JSON.stringify(json) : queueDetailText(readAnswer(QueueDetailSchema, json)));
}

async function retryAll({ connect, print }: QueueTools, options: Shared): Promise<void> {
  const json = accepted(await connect(options).client.call({ method: "POST", path: "/v1/queue/retry" }));
  const { depth } = readAnswer(z.object({ depth: z.int() }), json);
  print(options.json ? JSON.stringify(json) : `trying now, ${depth} waiting`);
}
