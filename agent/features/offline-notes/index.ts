/** Offline notes as the rest of the agent sees them. */
export {
  type AcceptedNote,
  createNoteDesk,
  type NoteDesk,
  type NoteDeskOptions,
  rememberOpenNotes,
} from "./note-desk.ts";
