/** What a machine decides: where to go, and what the shell must do. It never does it itself. */
export interface Step<State, Effect> {
  readonly state: State;
  readonly effects: readonly Effect[];
}
export type Machine<State, Event, Effect> = (state: State, event: Event) => Step<State, Effect>;
