/** What a phone shows to a scanner: a QR code, for a terminal window and as a picture. */
import { renderANSI, renderSVG } from "uqr";

/** With colours of its own, so that dark is dark whatever the window's are. */
export const screenText = (text: string): string => renderANSI(text);
export const screenSvg = (text: string): string => renderSVG(text);
