/** The time that an entry gives itself, by which the entries of a day are found. */
import { z } from "zod";
import { parseJson } from "../../../wire/signing.ts";

const Timed = z.object({ at: z.string() });

/** As it stands there; empty where it cannot be read. */
export function timeOf(text: string): string {
  try {
    return Timed.safeParse(parseJson(text)).data?.at ?? "";
  } catch {
    return "";
  }
}
