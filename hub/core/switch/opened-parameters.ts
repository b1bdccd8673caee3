/** Stand-in parameters as they are stored, opened once: what was stored is checked again before it decides anything. */
import { openStandInParameters, type StandInParameters } from "../../../wire/stand-in.ts";
import type { Institution } from "./institution.ts";

/** Undefined for none, and for a text that the institution did not sign. */
export type OpenedParameters = (institution: Institution, text: string | undefined) => StandInParameters | undefined;

export function createOpenedParameters(): OpenedParameters {
  const opened = new Map<string, { readonly text: string; readonly parameters: StandInParameters | undefined }>();
  return ({ id, standIn }, text) => {
    if (!standIn || text === undefined) return undefined;
    const known = opened.get(id);
    if (known?.text === text) return known.parameters;
    const result = openStandInParameters(text, { institutionId: id, key: standIn.key });
    const parameters = result.ok ? result.value : undefined;
    opened.set(id, { text, parameters });
    return parameters;
  };
}
