/** A phone's memory on disk: its keys, its codes, its wallet, each in a file that nobody else may read. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { Fault, reasonOf } from "../../base/fault.ts";
import { syncFolder } from "../../base/sqlite.ts";
import { Base64Schema } from "../../wire/common.ts";
import { PhoneEnrolResponseSchema } from "../../wire/phone.ts";
import { firstIssue, parseJson } from "../../wire/signing.ts";
import { NEW_PHONE, type PhoneState, PhoneStateSchema } from "./state.ts";

export const PhoneIdentitySchema = z.strictObject({
  ...PhoneEnrolResponseSchema.shape,
  v: z.literal(1),
  /** Ed25519 PKCS#8: signs what the phone says, and its notes. */
  privateKey: Base64Schema,
});
export type PhoneIdentityFile = z.infer<typeof PhoneIdentitySchema>;

export interface PhoneFolder {
  identity(): PhoneIdentityFile | undefined;
  saveIdentity(identity: PhoneIdentityFile): void;
  state(): PhoneState;
  saveState(state: PhoneState): void;
  readonly wallet: { load(): string | undefined; save(text: string): void };
  /** Writes what the screen shows, as SVG; the file's path. */
  saveScreen(svg: string): string;
}

/** Throws Fault `config.invalid` where no such folder can be. */
export function openPhoneFolder(path: string): PhoneFolder {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
  } catch (error) {
    throw new Fault("config.invalid", `--state ${path}: ${reasonOf(error)}; name a folder that can be made or written`);
  }
  const fileOf = (name: string) => {
    const file = join(path, name);
    return {
      load: () => (existsSync(file) ? readFileSync(file, "utf8") : undefined),
      save: (text: string) => writeWhole(path, file, text),
      /** Throws Fault `store.failed`, which names the field and never what is in it. */
      parsed<T>(schema: z.ZodType<T>): T | undefined {
        const text = this.load();
        if (text === undefined) return undefined;
        const parsed = schema.safeParse(parseJson(text));
        if (parsed.success) return parsed.data;
        throw new Fault("store.failed", `${file}: ${firstIssue(parsed.error)}; restore it, or begin with a new folder`);
      },
    };
  };
  const identity = fileOf("identity.json");
  const state = fileOf("state.json");
  const screen = fileOf("screen.svg");
  return {
    identity: () => identity.parsed(PhoneIdentitySchema),
    saveIdentity: (value) => identity.save(JSON.stringify(value, undefined, 2)),
    state: () => state.parsed(PhoneStateSchema) ?? NEW_PHONE,
    saveState: (value) => state.save(JSON.stringify(value, undefined, 2)),
    wallet: fileOf("wallet.json"),
    saveScreen(svg) {
      screen.save(svg);
      return join(path, "screen.svg");
    },
  };
}

/** Whole or not at all, and durable when it returns. */
function writeWhole(folder: string, path: string, text: string): void {
  const descriptor = openSync(`${path}.new`, "w", 0o600);
  try {
    writeSync(descriptor, `${text}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(`${path}.new`, path);
  syncFolder(folder);
}
