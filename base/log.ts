/** The logger: constant messages, data as fields, one line of JSON each, nothing secret by construction. */
import { type Logger as Pino, pino } from "pino";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type Fields = Readonly<Record<string, unknown>>;

/**
 * error: a person must act; warn: it healed itself; info: a business event; debug: protocol; trace: bytes.
 * The message is a constant string; what varies goes into the fields.
 */
export interface Log {
  error(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  debug(message: string, fields?: Fields): void;
  trace(message: string, fields?: Fields): void;
  for(part: string): Log;
}

/** Field names that never reach a line, wherever a careless caller puts them. */
const REDACTED = ["pan", "track2", "cvv", "pin", "pinBlock", "secret", "token", "bearer", "privateKey", "cardholder"];

export function createLog(level: LogLevel, destination: NodeJS.WritableStream = process.stderr): Log {
  // Whoever read the log may go; taking money goes on without it.
  destination.on("error", () => undefined);
  const root = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED.flatMap((name) => [name, `*.${name}`]), censor: "[redacted]" },
    },
    destination,
  );
  return wrap(root);
}

/** A log that says nothing. */
export const silentLog: Log = {
  error() {},
  warn() {},
  info() {},
  debug() {},
  trace() {},
  for: () => silentLog,
};

function wrap(logger: Pino): Log {
  const write = (level: Exclude<LogLevel, "silent">) => (message: string, fields?: Fields) =>
    fields === undefined ? logger[level](message) : logger[level](fields, message);
  return {
    error: write("error"),
    warn: write("warn"),
    info: write("info"),
    debug: write("debug"),
    trace: write("trace"),
    for: (part) => wrap(logger.child({ part })),
  };
}
