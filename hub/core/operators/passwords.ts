/** Passwords: what one must be, and how it is kept, so that a stolen database does not give it away. */
import { argon2, timingSafeEqual } from "node:crypto";
import { Fault } from "../../../base/fault.ts";
import type { RandomBytes } from "../../../base/ids.ts";

export const PASSWORD_LENGTH_MIN = 12;
export const PASSWORD_LENGTH_MAX = 256;

/**
 * OWASP's Password Storage Cheat Sheet names 19 MiB, two passes and one lane as the least for argon2id; of its settings of
 * equal strength this needs the least memory, and the hub may run on a small machine. Each hash carries its own, so that
 * these can be raised.
 */
const OWASP_LEAST: Parameters = { memory: 19_456, passes: 2, parallelism: 1 };
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** Hashes at a time: each takes a thread of the pool and 19 MiB. */
const AT_ONCE_MAX = 2;
/** Log-ins that wait for their turn; more are told to come again. */
const WAITING_MAX = 32;

/** Why a password is not taken; undefined for a good one. Nothing about kinds of characters: length is what counts. */
export function passwordProblem(name: string, password: string): string | undefined {
  if ([...password].length < PASSWORD_LENGTH_MIN) return `at least ${PASSWORD_LENGTH_MIN} characters`;
  if (password.length > PASSWORD_LENGTH_MAX) return `at most ${PASSWORD_LENGTH_MAX} characters`;
  if (password.toLowerCase() === name.toLowerCase()) return "not the name";
  return undefined;
}

export interface Passwords {
  /** As a PHC string. Throws Fault `queue.full`. */
  hash(password: string): Promise<string>;
  /** False for `kept` undefined, after the same work. Throws Fault `queue.full`. */
  fits(password: string, kept: string | undefined): Promise<boolean>;
}

export function createPasswords(random: RandomBytes, parameters: Parameters = OWASP_LEAST): Passwords {
  const turn = createTurns();
  /** Of no password: whoever is not known costs the same as who is. */
  const nobodys = phcText({ ...parameters, salt: random(SALT_BYTES), hash: random(HASH_BYTES) });
  return {
    async hash(password) {
      const salt = random(SALT_BYTES);
      return phcText({ ...parameters, salt, hash: await turn(() => derive(password, { ...parameters, salt })) });
    },
    async fits(password, kept) {
      const phc = readPhc(kept ?? nobodys);
      const derived = await turn(() => derive(password, phc));
      return timingSafeEqual(derived, phc.hash) && kept !== undefined;
    },
  };
}

interface Parameters {
  /** KiB. */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}
interface Derivation extends Parameters {
  readonly salt: Uint8Array;
}
interface Phc extends Derivation {
  readonly hash: Uint8Array;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64").replaceAll("=", "");
const phcText = ({ memory, passes, parallelism, salt, hash }: Phc): string =>
  `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(salt)}$${base64(hash)}`;

const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/;
function readPhc(text: string): Phc {
  const [, memory, passes, parallelism, salt = "", hash = ""] = PHC.exec(text) ?? [];
  if (memory === undefined) throw new Fault("store.failed", "an operator's password is kept in an unknown form");
  return {
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
    salt: Buffer.from(salt, "base64"),
    hash: Buffer.from(hash, "base64"),
  };
}

/** One text has one form, however a keyboard composes its letters (NIST SP 800-63B, 5.1.1.2). */
const derive = (password: string, { memory, passes, parallelism, salt }: Derivation): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const message = password.normalize("NFKC");
    argon2("argon2id", { message, nonce: salt, memory, passes, parallelism, tagLength: HASH_BYTES }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });

function createTurns() {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (waiting.length >= WAITING_MAX) throw new Fault("queue.full", "too many log-ins at once; try again later");
    if (running >= AT_ONCE_MAX) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      // The turn is handed on, not given back, so that nobody comes between.
      if (next) next();
      else running -= 1;
    }
  };
}
