/** `tillway hub`: runs the hub, and speaks to a running one. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { systemClock } from "../base/clock.ts";
import { loadConfig } from "../base/config-file.ts";
import { guarded, runDaemon } from "../base/daemon.ts";
import { Fault, reasonOf } from "../base/fault.ts";
import { ID_PATTERN, systemRandom } from "../base/ids.ts";
import { exponentOf, isCurrency, parseDecimal, toDecimal } from "../base/money.ts";
import { registerCards } from "./cards/cli.ts";
import { HUB_ENV_PREFIX, type HubConfig, HubConfigSchema } from "./config.ts";
import { openDialogueFile, readDialogueFile } from "./dialogue-file.ts";
import { registerIssuers } from "./issuers/cli.ts";
import { loadCardRanges } from "./issuing-keys.ts";
import { registerJournals } from "./journals/cli.ts";
import { readSealingKeys } from "./keys.ts";
import { loadIssuers } from "./load-issuers.ts";
import { hubPaths, readEndpoints, startHub } from "./main.ts";
import { registerBroker } from "./nats/cli.ts";
import { type Access, type HubDoor, readToken, savedSession } from "./operator-access.ts";
import { localUrl, type OperatorClient, operatorClient, pages } from "./operator-client.ts";
import { registerOperators } from "./operators/cli.ts";
import { registerChargebacks, registerPayouts } from "./payouts/cli.ts";
import { registerCodes, registerPhones } from "./phones/cli.ts";
import { registerSettlement } from "./settlement/cli.ts";
import { registerTerminals } from "./terminals/cli.ts";

const DEFAULT_CONFIG = "/etc/tillway/hub.yaml";

interface Shared {
  readonly config: string;
  readonly tokenFile?: string;
}
type Listing = Shared & { readonly json?: true };

const configOf = ({ config }: Shared): HubConfig =>
  loadConfig({ path: config, schema: HubConfigSchema, env: process.env, envPrefix: HUB_ENV_PREFIX });

/** Of who has logged in; it holds secrets, so it is the user's own. */
const SESSION_FILE = join(
  process.env["XDG_STATE_HOME"] ?? join(homedir(), ".local", "state"),
  "tillway",
  "hub-sessions.json",
);

/** The hub of a configuration on this machine. */
function doorOf(options: Shared): HubDoor {
  const { dataDir, listen } = configOf(options);
  const { httpsPort } = readEndpoints(dataDir);
  return { url: localUrl(listen.host, httpsPort), ca: readOwn(hubPaths(dataDir).caCertificate) };
}

function accessOf(options: Shared): Access {
  const saved = savedSession(SESSION_FILE, options.config);
  if (options.tokenFile !== undefined) return { ...(saved ?? doorOf(options)), bearer: readToken(options.tokenFile) };
  return saved ?? { ...doorOf(options), bearer: readOwn(hubPaths(configOf(options).dataDir).operatorToken) };
}

const clientOf = (options: Shared): OperatorClient => clientAt(accessOf(options));
const clientAt = (access: HubDoor & { readonly bearer?: string }): OperatorClient =>
  operatorClient({ ...access, random: systemRandom, clock: systemClock });

function readOwn(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    const why = `${path}: ${reasonOf(error)}; start the hub and run this as its user, or log in: tillway hub login`;
    throw new Fault("uplink.down", why);
  }
}

export function registerHub(program: Command): void {
  const hub = program.command("hub").description("the hub: authorisation, ledger, terminals");
  const withConfig = (command: Command): Command =>
    command
      .option("--config <file>", "the hub's configuration", DEFAULT_CONFIG)
      .option("--token-file <file>", "an API token to ask with, in place of a session or the hub's own token");

  withConfig(hub.command("run", { isDefault: true }).description("runs the hub until SIGTERM"))
    .option("--check", "checks the configuration and ends")
    .action(guarded(run));
  withConfig(
    hub.command("claim <terminal>").alias("enrol").description("makes a one-time claim by which a terminal enrols"),
  )
    .option("--hours <hours>", "how long it is good")
    .action(guarded(claim));
  const accounts = hub.command("accounts").description("lists accounts, or opens one");
  withConfig(accounts.command("list", { isDefault: true }).description("lists accounts with their balances"))
    .option("--json", "one JSON object per line")
    .action(guarded(listAccounts));
  withConfig(accounts.command("add").description("opens an account for a test card"))
    .requiredOption("--card <pan>", "the test card's number; kept as a token only")
    .requiredOption("--expiry <yymm>", "the test card's expiry")
    .requiredOption("--balance <amount>", "the opening balance, such as 100.00")
    .option("--currency <code>", "ISO 4217 code", "EUR")
    .option("--name <name>", "shown in listings")
    .action(guarded(addAccount));
  withConfig(hub.command("transactions").description("lists payments with their outcome"))
    .option("--terminal <id>", "of this terminal only")
    .option("--payment <id>", "of this payment id only")
    .option("--json", "one JSON object per line")
    .action(guarded(listTransactions));
  withConfig(
    hub
      .command("dialogue <file>")
      .description("opens what `tillway dialogue --sealed` printed at a terminal; shows card data in clear"),
  ).action(guarded(openDialogue));
  registerJournals(hub, { withConfig, clientOf, pages, amountText, configOf });
  registerCards(hub, { withConfig, clientOf, pages, amountText });
  registerPhones(hub, { withConfig, clientOf, pages, amountText });
  registerIssuers(hub, { withConfig, clientOf, pages, amountText });
  registerCodes(hub, { withConfig, clientOf, pages, amountText });
  registerTerminals(hub, { withConfig, clientOf, pages, amountText });
  registerSettlement(hub, { withConfig, clientOf, pages, amountText });
  registerPayouts(hub, { withConfig, clientOf, pages, amountText });
  registerChargebacks(hub, { withConfig, clientOf, pages, amountText });
  registerBroker(hub, { withConfig, configOf });
  const logIns = { doorOf, clientAt, sessionFile: SESSION_FILE };
  registerOperators(hub, { withConfig, clientOf, pages, amountText, ...logIns });
}

async function run(options: Shared & { readonly check?: true }): Promise<void> {
  const config = configOf(options);
  if (options.check) {
    loadCardRanges(config);
    loadIssuers(config);
    console.log(`${options.config}: good`);
    return;
  }
  await runDaemon({
    async start() {
      const running = await startHub({ config });
      console.log(running.status);
      return running;
    },
  });
}

/** Reads the hub's own key from its folder: only its user can. */
function openDialogue(path: string, options: Shared): void {
  const file = readDialogueFile(path);
  const transcript = openDialogueFile(file, readSealingKeys(hubPaths(configOf(options).dataDir).keys));
  console.error(`payment ${file.paymentId} of ${file.terminalId} at ${file.at}; what follows holds card data in clear`);
  process.stdout.write(transcript);
}

const ClaimAnswer = z.object({ claim: z.string(), expiresAt: z.string() });

async function claim(terminal: string, options: Shared & { readonly hours?: string }): Promise<void> {
  if (!ID_PATTERN.test(terminal))
    throw new Fault("config.invalid", `"${terminal}" is not a terminal id: letters, digits, . _ - and at most 64`);
  const hours = options.hours === undefined ? {} : { hours: Number(options.hours) };
  if (Number.isNaN(hours.hours)) throw new Fault("config.invalid", `--hours: "${options.hours}" is not a number`);
  const answer = ClaimAnswer.parse(await clientOf(options).post(`/v1/terminals/${terminal}/claims`, hours));
  console.log(answer.claim);
  console.error(`for one enrolment of ${terminal} until ${answer.expiresAt}`);
}

interface NewAccount extends Shared {
  readonly card: string;
  readonly expiry: string;
  readonly balance: string;
  readonly currency: string;
  readonly name?: string;
}

async function addAccount(options: NewAccount): Promise<void> {
  const { card, expiry, name } = options;
  const balance = parseDecimal(options.balance, options.currency);
  const body = {
    pan: card,
    expiry,
    balance: { minor: balance.minor.toString(), currency: balance.currency },
    ...(name === undefined ? {} : { name }),
  };
  const account = z.object({ id: z.string() }).parse(await clientOf(options).post("/v1/accounts", body));
  console.log(account.id);
}

const amountText = (minor: string, currency: string): string =>
  isCurrency(currency) && exponentOf(currency) >= 0
    ? `${toDecimal({ minor: BigInt(minor), currency })} ${currency}`
    : `${minor} ${currency}`;

const TransactionLine = z.object({
  terminalId: z.string(),
  paymentId: z.string(),
  status: z.string(),
  operation: z.string().optional(),
  mode: z.string().optional(),
  deferred: z.boolean().optional(),
  merchantLoss: z.object({ minor: z.string() }).optional(),
  heldUntil: z.string().optional(),
  maskedPan: z.string().optional(),
  amount: z.object({ minor: z.string(), currency: z.string() }).optional(),
  firstHeardAt: z.string(),
});

async function listTransactions(options: Listing & { readonly terminal?: string; readonly payment?: string }) {
  const query = new URLSearchParams({
    ...(options.terminal === undefined ? {} : { terminalId: options.terminal }),
    ...(options.payment === undefined ? {} : { paymentId: options.payment }),
  }).toString();
  const path = query === "" ? "/v1/transactions" : `/v1/transactions?${query}`;
  for await (const one of pages(clientOf(options), path, "transactions")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const line = TransactionLine.parse(one);
    const amount = line.amount === undefined ? "" : amountText(line.amount.minor, line.amount.currency);
    const mode = line.deferred ? "deferred" : line.mode;
    const loss = line.merchantLoss ? "the merchant's loss" : undefined;
    const held = line.status === "authorised" && line.heldUntil ? `held until ${line.heldUntil}` : undefined;
    const words = [line.firstHeardAt, line.terminalId, line.paymentId, line.operation, amount, line.status, mode, loss];
    console.log([...words, held, line.maskedPan].filter(Boolean).join("  "));
  }
}

const AccountLine = z.object({
  id: z.string(),
  currency: z.string(),
  balanceMinor: z.string(),
  availableMinor: z.string(),
  name: z.string().optional(),
});

async function listAccounts(options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), "/v1/accounts", "accounts")) {
    if (options.json) {
      console.log(JSON.stringify(one));
      continue;
    }
    const line = AccountLine.parse(one);
    const balance = amountText(line.balanceMinor, line.currency);
    const available = amountText(line.availableMinor, line.currency);
    console.log([line.id, balance, `available ${available}`, line.name].filter(Boolean).join("  "));
  }
}
