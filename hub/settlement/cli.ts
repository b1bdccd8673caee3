/** `tillway hub merchants|sites|batches|cutover|settle|statement`: from confirmed payments to what merchants are to get. */
import { type Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import { guarded } from "../../base/daemon.ts";
import { Fault } from "../../base/fault.ts";
import type { HubCommands } from "../cards/cli.ts";
import { batchText, feeText, SettledAnswer, StatementAnswer, settledText, statementText } from "./words.ts";

interface Shared {
  readonly config: string;
}
type Listing = Shared & { readonly json?: true };

export function registerSettlement(hub: Command, commands: HubCommands): void {
  registerMerchants(hub, commands);
  registerSites(hub, commands);
  registerBatches(hub, commands);
  const { withConfig } = commands;
  withConfig(
    hub.command("statement").description("a merchant's day: opening balance, what changed it, closing balance"),
  )
    .requiredOption("--merchant <id>", "whose day")
    .requiredOption("--day <date>", "YYYY-MM-DD, as the sites' books have it")
    .option("--json", "prints JSON")
    .action(guarded((options: Stating) => statement(commands, options)));
}

function registerMerchants(hub: Command, commands: HubCommands): void {
  const { withConfig } = commands;
  const merchants = hub.command("merchants").description("lists merchants, makes or changes one");
  withConfig(merchants.command("list", { isDefault: true }).description("lists merchants with their accounts and fees"))
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing) => listMerchants(commands, options)));
  withConfig(merchants.command("set <id>").description("makes a merchant, or changes all that is said of one"))
    .requiredOption("--name <name>", "as his bank knows him")
    .option("--iban <iban>", "his payout account")
    .option("--bic <bic>", "its bank")
    .option("--category <code>", "merchant category, four digits")
    .option("--fee <terms>", "per sale: basis points, and + minor units, such as 150+10", "0+0")
    .option("--chip <terms>", "the same for chip cards, where it differs")
    .option("--contactless <terms>", "for contactless cards")
    .option("--note <terms>", "for notes of phones")
    .option("--code <terms>", "for pre-authorised codes")
    .option("--cashback-max <minor>", "cash with one purchase, minor units; none without it", wholeNumber)
    .option("--tip-max <percent>", "of what was bought; 0 for no tips", wholeNumber, 20)
    .action(guarded((id: string, options: SettingMerchant) => setMerchant(commands, id, options)));
}

function registerSites(hub: Command, commands: HubCommands): void {
  const { withConfig, clientOf } = commands;
  const sites = hub.command("sites").description("lists sites, makes or changes one, puts a terminal there");
  withConfig(sites.command("list", { isDefault: true }).description("lists sites with their terminals"))
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing) => listSites(commands, options)));
  withConfig(sites.command("set <id>").description("makes a site, or changes its name, time zone and cutover"))
    .requiredOption("--merchant <id>", "whose site; it stays so")
    .requiredOption("--name <name>", "shown in listings")
    .option("--time-zone <zone>", "IANA name, such as Europe/Berlin", "UTC")
    .option("--cutover <time>", "HH:MM on the site's clocks: when its batch closes", "00:00")
    .action(guarded((id: string, options: SettingSite) => setSite(commands, id, options)));
  withConfig(
    sites.command("assign <site> <terminal>").description("says that a terminal stands there from now on"),
  ).action(
    guarded(async (site: string, terminalId: string, options: Shared) => {
      await clientOf(options).post(`/v1/sites/${encodeURIComponent(site)}/terminals`, { terminalId });
      console.log(`${terminalId}: at ${site}`);
    }),
  );
}

function registerBatches(hub: Command, commands: HubCommands): void {
  const { withConfig } = commands;
  const batches = hub.command("batches").description("lists batches, or shows one");
  withConfig(batches.command("list", { isDefault: true }).description("lists batches with their totals, newest first"))
    .option("--site <id>", "of this site only")
    .option("--state <state>", "open, closed or settled")
    .option("--json", "one JSON object per line")
    .action(guarded((options: ListingBatches) => listBatches(commands, options)));
  withConfig(
    batches.command("show <number>").description("shows a batch by terminal; ends with 1 if a terminal's day differs"),
  )
    .option("--json", "prints JSON")
    .action(guarded((number: string, options: Listing) => showBatch(commands, number, options)));
  withConfig(hub.command("cutover <site>").description("closes the site's batch now and opens the next")).action(
    guarded((site: string, options: Shared) => cutover(commands, site, options)),
  );
  withConfig(hub.command("settle [batch]").description("settles a closed batch; without a number all that are closed"))
    .option("--json", "one JSON object per line")
    .action(guarded((batch: string | undefined, options: Listing) => settle(commands, batch, options)));
}

const MerchantLine = z.object({
  id: z.string(),
  name: z.string(),
  account: z.object({ iban: z.string(), bic: z.string() }).optional(),
  fees: z.record(z.string(), z.object({ basisPoints: z.int(), fixedMinor: z.int() })),
});

async function listMerchants({ clientOf, pages }: HubCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), "/v1/merchants", "merchants")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const { id, name, account, fees } = MerchantLine.parse(one);
    const where = account === undefined ? "no payout account" : `${account.iban} ${account.bic}`;
    console.log(
      [id, name, where, ...Object.entries(fees).map(([means, terms]) => `${means} ${feeText(terms)}`)].join("  "),
    );
  }
}

interface SettingMerchant extends Shared {
  readonly name: string;
  readonly iban?: string;
  readonly bic?: string;
  readonly category?: string;
  readonly fee: string;
  readonly chip?: string;
  readonly contactless?: string;
  readonly note?: string;
  readonly code?: string;
  readonly cashbackMax?: number;
  readonly tipMax: number;
}

async function setMerchant({ clientOf }: HubCommands, id: string, options: SettingMerchant): Promise<void> {
  const { name, iban, bic, category, fee, chip, contactless, note, code, cashbackMax = 0, tipMax } = options;
  if ((iban === undefined) !== (bic === undefined)) throw new Fault("config.invalid", "--iban and --bic go together");
  const own = Object.entries({ chip, contactless, note, code }).flatMap(([means, terms]) =>
    terms === undefined ? [] : [[means, termsOf(`--${means}`, terms)]],
  );
  const body = {
    ...{ id, name, fees: { standard: termsOf("--fee", fee), ...Object.fromEntries(own) } },
    ...(iban === undefined ? {} : { account: { iban: iban.replaceAll(" ", ""), bic } }),
    ...(category === undefined ? {} : { category }),
    trade: { cashbackMaxMinor: cashbackMax, tipPercentMax: tipMax },
  };
  await clientOf(options).post("/v1/merchants", body);
  console.log(id);
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("give a whole number");
}

function termsOf(option: string, text: string): { basisPoints: number; fixedMinor: number } {
  const [, points, fixed = "0"] = /^(\d{1,5})(?:\+(\d{1,7}))?$/.exec(text) ?? [];
  if (points === undefined)
    throw new Fault("config.invalid", `${option}: "${text}" is not basis points, + and minor units, such as 150+10`);
  return { basisPoints: Number(points), fixedMinor: Number(fixed) };
}

const SiteLine = z.object({
  id: z.string(),
  merchantId: z.string(),
  name: z.string(),
  timeZone: z.string(),
  cutover: z.string(),
  terminals: z.array(z.string()),
});

async function listSites({ clientOf, pages }: HubCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), "/v1/sites", "sites")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const { id, merchantId, name, timeZone, cutover: at, terminals } = SiteLine.parse(one);
    const where = terminals.length === 0 ? "no terminal was put here" : terminals.join(" ");
    console.log([id, `of ${merchantId}`, name, `cutover ${at} ${timeZone}`, where].join("  "));
  }
}

interface SettingSite extends Shared {
  readonly merchant: string;
  readonly name: string;
  readonly timeZone: string;
  readonly cutover: string;
}

async function setSite({ clientOf }: HubCommands, id: string, options: SettingSite): Promise<void> {
  const { merchant: merchantId, name, timeZone, cutover: at } = options;
  await clientOf(options).post("/v1/sites", { id, merchantId, name, timeZone, cutover: at });
  console.log(id);
}

type ListingBatches = Listing & { readonly site?: string; readonly state?: string };

async function listBatches({ clientOf, pages, amountText }: HubCommands, options: ListingBatches): Promise<void> {
  const query = new URLSearchParams({
    ...(options.site === undefined ? {} : { siteId: options.site }),
    ...(options.state === undefined ? {} : { state: options.state }),
  }).toString();
  const path = query === "" ? "/v1/batches" : `/v1/batches?${query}`;
  for await (const one of pages(clientOf(options), path, "batches"))
    console.log(options.json ? JSON.stringify(one) : batchText(one, amountText));
}

/** Part of a path. */
function checkedNumber(text: string): string {
  if (/^[1-9]\d{0,14}$/.test(text)) return text;
  throw new Fault("config.invalid", `"${text}" is not the number of a batch`);
}

const Agreements = z.object({
  terminals: z.array(
    z.object({
      terminalId: z.string(),
      businessDate: z.string(),
      agreement: z.string(),
      report: z
        .object({
          differences: z.array(z.object({ what: z.string(), paymentId: z.string().optional() })),
          more: z.int(),
        })
        .optional(),
    }),
  ),
});

async function showBatch({ clientOf, amountText }: HubCommands, number: string, options: Listing): Promise<void> {
  const answer = await clientOf(options).get(`/v1/batches/${checkedNumber(number)}`);
  const { terminals } = Agreements.parse(answer);
  if (terminals.some(({ agreement }) => agreement === "differs")) process.exitCode = 1;
  if (options.json) {
    console.log(JSON.stringify(answer));
    return;
  }
  console.log(batchText(answer, amountText));
  for (const { terminalId, businessDate, agreement, report } of terminals) {
    console.log([terminalId, businessDate, agreement].join("  "));
    for (const { what, paymentId } of report?.differences ?? []) console.log(`  ${what}  ${paymentId ?? ""}`);
    if (report && report.more > 0) console.log(`  and ${report.more} more`);
  }
  for (const line of settledText(SettledAnswer.parse({ batch: Number(number), ...Object(answer) }), amountText))
    console.log(line);
}

async function cutover({ clientOf, amountText }: HubCommands, site: string, options: Shared): Promise<void> {
  const answer = await clientOf(options).post(`/v1/sites/${encodeURIComponent(site)}/cutover`, {});
  const { closed, opened } = z.object({ closed: z.unknown(), opened: z.int() }).parse(answer);
  console.log(batchText(closed, amountText));
  console.log(`batch ${opened} is open`);
}

async function settle(commands: HubCommands, batch: string | undefined, options: Listing): Promise<void> {
  const { clientOf, amountText } = commands;
  const say = (answer: unknown): void => {
    if (options.json) console.log(JSON.stringify(answer));
    else for (const line of settledText(SettledAnswer.parse(answer), amountText)) console.log(line);
  };
  if (batch !== undefined) {
    say(await clientOf(options).post(`/v1/batches/${checkedNumber(batch)}/settle`, {}));
    return;
  }
  for (let waiting = true; waiting; ) {
    const { settled, more } = SettledBatches.parse(await clientOf(options).post("/v1/batches/settle", {}));
    for (const one of settled) say(one);
    waiting = more;
  }
}

const SettledBatches = z.object({ settled: z.array(z.unknown()), more: z.boolean() });

interface Stating extends Listing {
  readonly merchant: string;
  readonly day: string;
}

async function statement({ clientOf, amountText }: HubCommands, options: Stating): Promise<void> {
  const query = new URLSearchParams({ merchantId: options.merchant, day: options.day });
  const answer = await clientOf(options).get(`/v1/statements?${query.toString()}`);
  console.log(options.json ? JSON.stringify(answer) : statementText(StatementAnswer.parse(answer), amountText));
}
