/** Device URIs of the configuration, `scheme:target?key=value&…`: parsed strictly, so that a typing error is told, not guessed at. */
import { Fault } from "../base/fault.ts";

export interface DeviceUri {
  /** As configured, for messages. */
  readonly text: string;
  /** `serial`, `pcsc`, `hid`… */
  readonly scheme: string;
  /** What the scheme names: a path, a reader's name, `*`. Never empty. */
  readonly target: string;
  readonly options: Readonly<Record<string, string>>;
}

export const DEVICE_URI_CHARACTERS_MAX = 1_024;
const SHAPE = /^([a-z][a-z0-9+-]*):([^?]+)(?:\?(.*))?$/;
const OPTION_KEY = /^[a-z][a-z0-9-]*$/;

export function parseDeviceUri(text: string): DeviceUri {
  if (text.length > DEVICE_URI_CHARACTERS_MAX) {
    throw invalid(text.slice(0, 40), `is longer than ${DEVICE_URI_CHARACTERS_MAX} characters`);
  }
  const match = SHAPE.exec(text);
  if (!match) throw invalid(text, "is not of the form scheme:target?key=value, as in serial:/dev/ttyUSB0?baud=115200");
  const [, scheme = "", target = "", query] = match;
  return { text, scheme, target: decoded(target, text), options: parseOptions(query, text) };
}

function parseOptions(query: string | undefined, text: string): Readonly<Record<string, string>> {
  if (query === undefined) return {};
  const options = new Map<string, string>();
  for (const part of query.split("&")) {
    const equals = part.indexOf("=");
    const key = equals < 0 ? part : part.slice(0, equals);
    if (equals < 0 || !OPTION_KEY.test(key)) throw invalid(text, `has "${part}" where key=value is expected`);
    if (options.has(key)) throw invalid(text, `names "${key}" twice; keep one`);
    options.set(key, decoded(part.slice(equals + 1), text));
  }
  return Object.fromEntries(options);
}

/** Refuses options that the scheme does not have. */
export function refuseUnknownOptions(uri: DeviceUri, known: readonly string[]): void {
  const unknown = Object.keys(uri.options).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  const choices = known.length === 0 ? "it takes none" : `known are ${known.join(", ")}`;
  throw invalid(uri.text, `has the unknown option "${unknown}"; ${choices}`);
}

export interface IntegerOption {
  readonly key: string;
  readonly min: number;
  readonly max: number;
  /** The value when the option is not given. */
  readonly fallback: number;
}

export function integerOption(uri: DeviceUri, { key, min, max, fallback }: IntegerOption): number {
  const text = optionOf(uri, key);
  if (text === undefined) return fallback;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw invalid(uri.text, `has ${key}=${text}; give a whole number from ${min} to ${max}`);
  }
  return value;
}

export interface ChoiceOption<Choice extends string> {
  readonly key: string;
  readonly choices: readonly Choice[];
  /** The value when the option is not given. */
  readonly fallback: Choice;
}

export function choiceOption<const Choice extends string>(uri: DeviceUri, option: ChoiceOption<Choice>): Choice {
  const text = optionOf(uri, option.key);
  if (text === undefined) return option.fallback;
  const choice = option.choices.find((known) => known === text);
  if (choice === undefined) {
    throw invalid(uri.text, `has ${option.key}=${text}; one of ${option.choices.join(", ")}`);
  }
  return choice;
}

const optionOf = (uri: DeviceUri, key: string): string | undefined =>
  Object.hasOwn(uri.options, key) ? uri.options[key] : undefined;

/** Percent-decoded, as names with spaces, `?` or `&` need it; control characters never belong in a name. */
function decoded(part: string, text: string): string {
  let plain: string;
  try {
    plain = decodeURIComponent(part);
  } catch {
    throw invalid(text, `has a broken percent sign in "${part}"; write a plain % as %25`);
  }
  if (/\p{Cc}/u.test(plain)) throw invalid(text, "contains a control character");
  return plain;
}

const invalid = (text: string, why: string): Fault =>
  new Fault("config.invalid", `device URI ${JSON.stringify(text)} ${why}`);
