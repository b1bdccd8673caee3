/** A ticket as a picture: black on white, in whatever monospaced font there is, aligned to the printer's columns. */
import { indentOf, lineColumns, type Printed, type Span, spanColumns } from "./paper.ts";

/** One character of font A is 12 by 24 dots; drawn at half that, with the line spacing of ESC 2. */
const COLUMN = 8;
const LINE = 18;
const FONT_SIZE = 13;
/** From a line's bottom up to the feet of its letters. */
const DESCENT = 5;
const MARGIN = 16;
const QR_SIDE = 96;
const BARCODE_HEIGHT = 40;
const DOTS_PER_UNIT = 1.5;
const CAPTION_SIZE = 8;
const GAP = 8;
/** What a code takes beside itself: a gap above, and its content in small letters below. */
const CAPTION_ROOM = 2 * GAP + CAPTION_SIZE;

export function paperSvg(printed: readonly Printed[], columns: number): string {
  const width = columns * COLUMN + 2 * MARGIN;
  const parts: string[] = [];
  let y = MARGIN;
  for (const item of withoutFeed(printed)) {
    const height = itemHeight(item);
    parts.push(drawn({ item, columns, top: y, height }));
    y += height;
  }
  const height = y + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    `<g font-family="DejaVu Sans Mono, Liberation Mono, Menlo, Consolas, monospace" font-size="${FONT_SIZE}" fill="black">`,
    ...parts.filter((part) => part !== ""),
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

/** The empty lines before the cut are paper, not picture. */
function withoutFeed(printed: readonly Printed[]): readonly Printed[] {
  const last = printed.findLastIndex((item) => item.kind !== "line" || item.spans.length > 0);
  return printed.slice(0, last + 1);
}

function itemHeight(item: Printed): number {
  switch (item.kind) {
    case "line":
      return LINE * Math.max(1, ...item.spans.map((span) => span.height));
    case "qr":
      return CAPTION_ROOM + QR_SIDE;
    case "barcode":
      return CAPTION_ROOM + BARCODE_HEIGHT;
    case "image":
      return item.heightDots / DOTS_PER_UNIT + LINE;
  }
}

interface Place {
  readonly item: Printed;
  readonly columns: number;
  readonly top: number;
  readonly height: number;
}

function drawn({ item, columns, top, height }: Place): string {
  if (item.kind === "line") {
    let x = MARGIN + indentOf(item.align, lineColumns(item.spans), columns) * COLUMN;
    const parts = item.spans.map((span) => {
      const part = drawnSpan(span, { x, bottom: top + height });
      x += spanColumns(span) * COLUMN;
      return part;
    });
    return parts.join("");
  }
  const full = columns * COLUMN;
  const wide = item.kind === "qr" ? QR_SIDE : item.kind === "barcode" ? full / 2 : item.widthDots / DOTS_PER_UNIT;
  const x = MARGIN + indentOf(item.align, wide, full);
  const tall = item.kind === "qr" ? QR_SIDE : item.kind === "barcode" ? BARCODE_HEIGHT : height - LINE;
  const caption = item.kind === "image" ? "" : item.text;
  const name = item.kind === "qr" ? "QR" : item.kind === "barcode" ? "BARCODE" : "IMAGE";
  return [
    `<rect x="${x}" y="${top + GAP}" width="${wide}" height="${tall}" fill="none" stroke="black" stroke-width="2"/>`,
    centred(name, { x: x + wide / 2, y: top + GAP + tall / 2 + FONT_SIZE / 3, size: FONT_SIZE }),
    centred(clipped(caption, columns), {
      x: MARGIN + full / 2,
      y: top + GAP + tall + CAPTION_SIZE + 2,
      size: CAPTION_SIZE,
    }),
  ].join("");
}

/** `textLength` holds every letter to its column, whichever font the viewer has. */
function drawnSpan(span: Span, at: { readonly x: number; readonly bottom: number }): string {
  if (span.text.trim() === "" && !span.inverse && !span.underline) return "";
  const width = spanColumns(span) * COLUMN;
  const length = [...span.text].length * COLUMN;
  const back = span.inverse
    ? `<rect x="${at.x}" y="${at.bottom - LINE * span.height}" width="${width}" height="${LINE * span.height}"/>`
    : "";
  const style = [
    span.bold ? ` font-weight="bold"` : "",
    span.underline ? ` text-decoration="underline"` : "",
    span.inverse ? ` fill="white"` : "",
  ].join("");
  const place = `transform="translate(${at.x} ${at.bottom - DESCENT * span.height}) scale(${span.width} ${span.height})"`;
  return `${back}<text ${place} xml:space="preserve" textLength="${length}" lengthAdjust="spacingAndGlyphs"${style}>${escaped(span.text)}</text>`;
}

const centred = (text: string, at: { readonly x: number; readonly y: number; readonly size: number }): string =>
  text === ""
    ? ""
    : `<text x="${at.x}" y="${at.y}" font-size="${at.size}" text-anchor="middle">${escaped(text)}</text>`;

/** The caption is in small letters, of which about one and a half go on a column. */
const clipped = (text: string, columns: number): string =>
  text.length <= columns * 1.5 ? text : `${text.slice(0, columns * 1.5 - 1)}…`;

const escaped = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    // XML has no way to write a control character.
    .replaceAll(/\p{Cc}/gu, "?");
