/** Offline notes as the rest of the agent sees them. */
export { createNoteDesk, type NoteDesk } from "./note-desk.ts";
