/** Offline notes as the rest of the agent sees them. */
export { createNoteDesk, type NoteDesk, rememberOpenNotes } from "./note-desk.ts";
