/** Writes comma-separated values as RFC 4180 has them. */

/** Quoted where it holds what separates. */
const fieldText = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** Every record ends with CRLF, the last one too. */
export const csvText = (records: readonly (readonly string[])[]): string =>
  records.map((record) => `${record.map(fieldText).join(",")}\r\n`).join("");
