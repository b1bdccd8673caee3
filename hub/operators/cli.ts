/** `tillway hub login|logout|users|audit`: who runs the hub, and what they did. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { z } from "zod";
import { guarded } from "../../base/daemon.ts";
import { Fault, isFault, reasonOf } from "../../base/fault.ts";
import { askHidden } from "../ask-hidden.ts";
import type { HubCommands } from "../cards/cli.ts";
import { type HubDoor, readToken, savedSession, saveSession } from "../operator-access.ts";
import type { OperatorClient } from "../operator-client.ts";

interface Shared {
  readonly config: string;
  readonly tokenFile?: string;
}
type Listing = Shared & { readonly json?: true };

export interface OperatorCommands extends HubCommands {
  doorOf(options: Shared): HubDoor;
  clientAt(access: HubDoor & { readonly bearer?: string }): OperatorClient;
  readonly sessionFile: string;
}

const STANDARD_INPUT = 0;
/** The hub reads every entry that there is. */
const VERIFIED_WITHIN_MS = 600_000;

export function registerOperators(hub: Command, commands: OperatorCommands): void {
  registerLogIn(hub, commands);
  registerUsers(hub, commands);
  registerTokens(hub.commands.find((one) => one.name() === "users") ?? hub, commands);
  registerAudit(hub, commands);
}

function registerLogIn(hub: Command, commands: OperatorCommands): void {
  const { withConfig } = commands;
  withConfig(
    hub
      .command("login [name]")
      .description("logs you in to the hub of this configuration; with --token-file, by an API token"),
  )
    .option("--password-file <file>", "the password; - is standard input; without it you are asked")
    .option("--url <url>", "of a hub on another machine, such as https://hub.example:8743")
    .option("--ca <file>", "its authority: tls/ca-certificate.pem of its data folder")
    .action(guarded((name: string | undefined, options: LoggingIn) => logIn(commands, name, options)));
  withConfig(hub.command("logout").description("ends your session")).action(
    guarded((options: Shared) => logOut(commands, options)),
  );
}

function registerUsers(hub: Command, commands: OperatorCommands): void {
  const { withConfig, clientOf } = commands;
  const users = hub.command("users").description("operators' accounts: viewer, operator or admin");
  withConfig(users.command("list", { isDefault: true }).description("lists operators"))
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing) => listUsers(commands, options)));
  withConfig(users.command("me").description("says who you are to the hub, and with which role")).action(
    guarded(async (options: Shared) => {
      const { name, role, by } = await me(clientOf(options));
      console.log([name, role, `by ${by}`].join("  "));
    }),
  );
  withConfig(users.command("add <name>").description("makes an account; asks for its first password"))
    .requiredOption("--role <role>", "viewer, operator or admin")
    .option("--password-file <file>", "the password; - is standard input")
    .action(guarded((name: string, options: NewUser) => addUser(commands, name, options)));
  withConfig(users.command("role <name> <role>").description("gives another role; its sessions end")).action(
    guarded((name: string, role: string, options: Shared) => change(commands, options, `${part(name)}/role`, { role })),
  );
  for (const [verb, what] of [
    ["disable", "refuses an operator from now on; his API tokens are gone"],
    ["enable", "lets a disabled operator log in again"],
  ] as const) {
    withConfig(users.command(`${verb} <name>`).description(what)).action(
      guarded((name: string, options: Shared) => change(commands, options, `${part(name)}/${verb}`, {})),
    );
  }
  withConfig(users.command("password [name]").description("sets your own password, or as an admin another's"))
    .option("--password-file <file>", "the new password; - is standard input")
    .option("--current-file <file>", "your present one")
    .action(guarded((name: string | undefined, options: Renewing) => setPassword(commands, name, options)));
}

function registerTokens(users: Command, commands: OperatorCommands): void {
  const { withConfig } = commands;
  const tokens = users.command("tokens").description("API tokens: for programs that ask the hub");
  const ofSomebody = (command: Command): Command =>
    withConfig(command).option("--of <name>", "another's, as an admin; your own when not said");
  ofSomebody(tokens.command("list", { isDefault: true }).description("lists tokens by what they begin with"))
    .option("--json", "one JSON object per line")
    .action(guarded((options: Listing & OfSomebody) => listTokens(commands, options)));
  ofSomebody(tokens.command("add <token>").description("makes one and prints it, once"))
    .requiredOption("--role <role>", "your own role or a lower one")
    .option("--days <days>", "how long it is good", "90")
    .action(guarded((token: string, options: NewToken) => addToken(commands, token, options)));
  ofSomebody(tokens.command("revoke <token>").description("refuses it from now on")).action(
    guarded(async (token: string, options: Shared & OfSomebody) => {
      const client = commands.clientOf(options);
      await client.post(`/v1/operators/${await ownerOf(client, options)}/tokens/${part(token)}/revoke`, {});
      console.log(`${token}: revoked`);
    }),
  );
}

function registerAudit(hub: Command, commands: OperatorCommands): void {
  const { withConfig } = commands;
  const audit = hub.command("audit").description("what operators did: a log that is only added to");
  withConfig(audit.command("list", { isDefault: true }).description("lists the newest entries, newest first"))
    .option("--last <count>", "how many", "50")
    .option("--json", "one JSON object per line, with its hash and its bytes")
    .action(guarded((options: Auditing) => listAudit(commands, options)));
  withConfig(
    audit.command("verify").description("checks every entry up to the signed head; ends with 1 if one was touched"),
  )
    .option("--known <number:hash>", "a head that you noted earlier, which must still be there")
    .option("--json", "prints JSON")
    .action(guarded((options: Verifying) => verify(commands, options)));
}

interface LoggingIn extends Shared {
  readonly passwordFile?: string;
  readonly url?: string;
  readonly ca?: string;
}

const Session = z.object({ session: z.string(), name: z.string(), role: z.string(), expiresAt: z.string() });
const Me = z.object({ name: z.string(), role: z.string(), by: z.string() });
const me = async (client: OperatorClient) => Me.parse(await client.get("/v1/operators/me"));

async function logIn(commands: OperatorCommands, name: string | undefined, options: LoggingIn): Promise<void> {
  const { config, tokenFile } = options;
  const door = doorFrom(commands, options);
  if (tokenFile !== undefined) {
    const bearer = readToken(tokenFile);
    const known = await me(commands.clientAt({ ...door, bearer }));
    saveSession(commands.sessionFile, config, { ...door, bearer, name: known.name });
    console.log(`${known.name}, ${known.role}, by the token of ${tokenFile}`);
    return;
  }
  if (name === undefined) throw new Fault("config.invalid", "say who you are: tillway hub login NAME");
  const password = await secretFrom(options.passwordFile, "password: ");
  const { session, role, expiresAt } = Session.parse(
    await commands.clientAt(door).post("/v1/sessions", { name, password }),
  );
  saveSession(commands.sessionFile, config, { ...door, bearer: session, name });
  console.log(`${name}, ${role}, until ${expiresAt}`);
}

function doorFrom({ doorOf }: OperatorCommands, options: LoggingIn): HubDoor {
  const { url, ca } = options;
  if (url === undefined && ca === undefined) return doorOf(options);
  if (url === undefined || ca === undefined) throw new Fault("config.invalid", "--url and --ca go together");
  if (!URL.canParse(url) || new URL(url).protocol !== "https:")
    throw new Fault("config.invalid", `--url: "${url}" is not an address such as https://hub.example:8743`);
  return { url, ca: readText(ca, "--ca") };
}

/** The hub is told where it can be; the session is forgotten here in any case. */
async function logOut({ clientAt, sessionFile }: OperatorCommands, { config }: Shared): Promise<void> {
  const saved = savedSession(sessionFile, config);
  if (!saved) {
    console.log("you are not logged in");
    return;
  }
  saveSession(sessionFile, config, undefined);
  try {
    if (saved.bearer.startsWith("tws.")) await clientAt(saved).post("/v1/sessions/end", {});
  } catch (error) {
    // It had ended already.
    if (!isFault(error, "uplink.refused")) throw error;
  }
  console.log(`${saved.name}: logged out`);
}

const UserLine = z.object({ name: z.string(), role: z.string(), disabledAt: z.string().optional() });
const userText = ({ name, role, disabledAt }: z.output<typeof UserLine>): string =>
  [name, role, disabledAt === undefined ? "" : `disabled ${disabledAt}`].filter(Boolean).join("  ");

async function listUsers({ clientOf, pages }: OperatorCommands, options: Listing): Promise<void> {
  for await (const one of pages(clientOf(options), "/v1/operators", "operators"))
    console.log(options.json ? JSON.stringify(one) : userText(UserLine.parse(one)));
}

interface NewUser extends Shared {
  readonly role: string;
  readonly passwordFile?: string;
}

async function addUser(commands: OperatorCommands, name: string, options: NewUser): Promise<void> {
  const password = await newPassword(options.passwordFile);
  const added = await commands.clientOf(options).post("/v1/operators", { name, role: options.role, password });
  console.log(userText(UserLine.parse(added)));
}

async function change({ clientOf }: OperatorCommands, options: Shared, path: string, body: object): Promise<void> {
  console.log(userText(UserLine.parse(await clientOf(options).post(`/v1/operators/${path}`, body))));
}

interface Renewing extends Shared {
  readonly passwordFile?: string;
  readonly currentFile?: string;
}

async function setPassword(commands: OperatorCommands, name: string | undefined, options: Renewing): Promise<void> {
  const self = await me(commands.clientOf(options));
  const own = name === undefined || name === self.name;
  const current = own ? { current: await secretFrom(options.currentFile, "present password: ") } : {};
  const password = await newPassword(options.passwordFile);
  const path = `/v1/operators/${part(name ?? self.name)}/password`;
  const changed = UserLine.parse(await commands.clientOf(options).post(path, { password, ...current }));
  console.log(`${changed.name}: the password is set; all sessions have ended`);
}

interface OfSomebody {
  readonly of?: string;
}
interface NewToken extends Shared, OfSomebody {
  readonly role: string;
  readonly days: string;
}

const TokenLine = z.object({
  name: z.string(),
  shownId: z.string(),
  role: z.string(),
  expiresAt: z.string(),
  usedAt: z.string().optional(),
});

const ownerOf = async (client: OperatorClient, { of }: OfSomebody): Promise<string> =>
  part(of ?? (await me(client)).name);

async function listTokens({ clientOf }: OperatorCommands, options: Listing & OfSomebody): Promise<void> {
  const client = clientOf(options);
  const answer = await client.get(`/v1/operators/${await ownerOf(client, options)}/tokens`);
  for (const one of z.object({ tokens: z.array(TokenLine) }).parse(answer).tokens) {
    const used = one.usedAt === undefined ? "never used" : `used ${one.usedAt}`;
    const words = [one.name, `${one.shownId}.…`, one.role, `until ${one.expiresAt}`, used];
    console.log(options.json ? JSON.stringify(one) : words.join("  "));
  }
}

async function addToken({ clientOf }: OperatorCommands, name: string, options: NewToken): Promise<void> {
  const days = Number(options.days);
  if (!Number.isInteger(days)) throw new Fault("config.invalid", `--days: "${options.days}" is not a whole number`);
  const client = clientOf(options);
  const path = `/v1/operators/${await ownerOf(client, options)}/tokens`;
  const answer = await client.post(path, { name, role: options.role, days });
  const { token, expiresAt } = z.object({ token: z.string(), expiresAt: z.string() }).parse(answer);
  console.log(token);
  console.error(`good until ${expiresAt}; it is shown this once: keep it in a file of mode 0600 for --token-file`);
}

interface Auditing extends Listing {
  readonly last: string;
}

const AuditLine = z.object({ number: z.int(), text: z.string() });
const AuditText = z.object({
  at: z.string(),
  action: z.string(),
  who: z.string(),
  role: z.string().optional(),
  by: z.string().optional(),
  address: z.string().optional(),
  outcome: z.string(),
  status: z.int().optional(),
  reason: z.string().optional(),
  named: z.record(z.string(), z.string()).optional(),
  of: z.int().optional(),
  counted: z.int().optional(),
});

function auditText({ number, text }: z.output<typeof AuditLine>): string {
  const { at, who, role, by, address, action, named, outcome, status, reason, of, counted } = AuditText.parse(
    JSON.parse(text),
  );
  const names = Object.entries(named ?? {}).map(([name, value]) => `${name}=${value}`);
  return [
    number,
    at,
    [who, role, by].filter(Boolean).join("/"),
    address,
    action,
    names.join(" "),
    [outcome, status].filter(Boolean).join(" "),
    of === undefined ? undefined : `of ${of}`,
    counted === undefined ? undefined : `${counted} more`,
    reason,
  ]
    .filter(Boolean)
    .join("  ");
}

async function listAudit({ clientOf, pages }: OperatorCommands, options: Auditing): Promise<void> {
  let left = Number(options.last);
  if (!Number.isInteger(left) || left < 1) throw new Fault("config.invalid", "--last: not a count");
  for await (const one of pages(clientOf(options), "/v1/audit", "entries")) {
    console.log(options.json ? JSON.stringify(one) : auditText(AuditLine.parse(one)));
    left -= 1;
    if (left === 0) return;
  }
}

interface Verifying extends Listing {
  readonly known?: string;
}

const Verdict = z.object({
  entries: z.int(),
  head: z.object({ number: z.int(), hash: z.string() }),
  firstBroken: z.object({ number: z.int(), why: z.string() }).optional(),
});

async function verify({ clientOf }: OperatorCommands, { known, ...options }: Verifying): Promise<void> {
  const query = known === undefined ? "" : `?${new URLSearchParams({ known })}`;
  const answer = await clientOf(options).get(`/v1/audit/verify${query}`, VERIFIED_WITHIN_MS);
  const { entries, head, firstBroken } = Verdict.parse(answer);
  if (firstBroken) process.exitCode = 1;
  if (options.json) console.log(JSON.stringify(answer));
  else if (firstBroken) console.log(`entry ${firstBroken.number} ${firstBroken.why}; ${entries} before it are whole`);
  else console.log(`${entries} entries are whole; head ${head.number}:${head.hash}`);
}

/** Part of a path; what is no name is refused by the hub in its own words. */
const part = (text: string): string => encodeURIComponent(text);

function readText(path: string, option: string): string {
  try {
    return readFileSync(path === "-" ? STANDARD_INPUT : path, "utf8");
  } catch (error) {
    throw new Fault("config.invalid", `${option} ${path}: ${reasonOf(error)}`);
  }
}

/** The first line of the file, or what a person types. Never an argument: those end up in the shell's history. */
async function secretFrom(file: string | undefined, prompt: string): Promise<string> {
  if (file !== undefined) return readText(file, "--password-file").split(/\r?\n/, 1)[0] ?? "";
  if (!process.stdin.isTTY)
    throw new Fault("config.invalid", "nobody can be asked for a password here; give it by --password-file -");
  return await askHidden({ input: process.stdin, say: (text) => void process.stderr.write(text), prompt });
}

async function newPassword(file: string | undefined): Promise<string> {
  const password = await secretFrom(file, "new password: ");
  if (file !== undefined || (await secretFrom(undefined, "once more: ")) === password) return password;
  throw new Fault("config.invalid", "the two are not the same; nothing was changed");
}
