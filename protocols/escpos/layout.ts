/** Where the words of a receipt go on lines of a fixed number of columns. */

/** Breaks at spaces, and inside a word only when the word alone is longer than a line. Never empty. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const word of text.split(" ").flatMap((part) => pieces(part, columns))) {
    const joined = line === undefined ? word : `${line} ${word}`;
    if (line !== undefined && width(joined) > columns) {
      lines.push(line);
      line = word;
    } else line = joined;
  }
  return [...lines, line ?? ""];
}

/** A label at the left edge and its value at the right; where both do not fit, the value ends the label's last line. */
export function pairLines(label: string, value: string, columns: number): string[] {
  const left = wrap(label, columns);
  const last = left.at(-1) ?? "";
  if (width(last) + 1 + width(value) <= columns) {
    return [...left.slice(0, -1), last + " ".repeat(columns - width(last) - width(value)) + value];
  }
  return [...left, ...wrap(value, columns).map((line) => " ".repeat(columns - width(line)) + line)];
}

/** Every character that a receipt printer knows is one column wide. */
const width = (text: string): number => [...text].length;

function pieces(word: string, columns: number): string[] {
  const characters = [...word];
  if (characters.length <= columns) return [word];
  const parts: string[] = [];
  for (let at = 0; at < characters.length; at += columns) parts.push(characters.slice(at, at + columns).join(""));
  return parts;
}
