/** The advice log reaches the issuer whole, in order and once in effect, whatever is lost, doubled or cut short. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { PaymentId, TerminalId } from "../../../base/ids.ts";
import { NOW } from "../../../wire/stand-in-fixture.ts";
import {
  type AdviceEntry,
  type AdviceEvent,
  type AdviceState,
  adviceMachine,
  dueAdvices,
  entriesFor,
  entryKey,
  holdsAccount,
  isOpen,
  NEW_ADVICE,
  RECOVERY_DEFAULTS,
} from "./recovery.ts";
import { meaningOf } from "./switch-fixture.ts";

const TERMINAL = "shop-1" as TerminalId;
const POLICY = { ...RECOVERY_DEFAULTS, inFlightMax: 2 };
const step = adviceMachine(POLICY);

function entry(
  number: number,
  account: string,
  change: { approved?: boolean; kind?: AdviceEntry["kind"] } = {},
): AdviceEntry {
  const { approved = true, kind = "advice" } = change;
  const paymentId = `sale-${number}` as PaymentId;
  return { number, kind, terminalId: TERMINAL, paymentId, attempt: 1, account, approved, state: NEW_ADVICE };
}

const SEND: AdviceEvent = { on: "send" };
const LOST: AdviceEvent = { on: "lost", now: NOW };
const answer = (responseCode: string): AdviceEvent => ({ on: "answer", answer: meaningOf(responseCode), now: NOW });
const EVENTS: readonly AdviceEvent[] = [SEND, LOST, ...["00", "94", "05", "91", "96"].map(answer), { on: "set-aside" }];
const anyEvent = fc.oneof(
  { weight: 1, arbitrary: fc.constant(SEND) },
  { weight: 1, arbitrary: fc.constantFrom(...EVENTS) },
);
const anyEvents = fc.array(anyEvent, { maxLength: 20 });
const after = (events: readonly AdviceEvent[]): AdviceState =>
  events.reduce<AdviceState>((state, event) => step(state, event).state, NEW_ADVICE);

test("a terminal state is never left, and asks for nothing", () => {
  fc.assert(
    fc.property(anyEvents, fc.constantFrom(answer("00"), { on: "set-aside" } as const), (events, last) => {
      const state = after([...events, SEND, last]);
      expect(["delivered", "exception"]).toContain(state.at);
      for (const event of EVENTS) {
        expect(step(state, event).state).toBe(state);
        expect(step(state, event).effects).toEqual([]);
      }
    }),
  );
});

test("every sending is counted, the first goes as first and each other as repeat", () => {
  fc.assert(
    fc.property(anyEvents, (events) => {
      let state = NEW_ADVICE;
      const sent: string[] = [];
      for (const event of events) {
        const next = step(state, event);
        for (const effect of next.effects) if (effect.do === "transmit") sent.push(effect.repeat);
        state = next.state;
        expect(state.sends).toBe(sent.length);
      }
      expect(sent).toEqual(sent.map((_, index) => (index === 0 ? "first" : "repeat")));
    }),
  );
});

test("an entry that was never sent is never delivered, whatever answer comes", () => {
  expect(step(NEW_ADVICE, answer("00"))).toEqual({ state: NEW_ADVICE, effects: [] });
});

test("RM15 after the last of its refusals an advice is on the exception list, with what the issuer said", () => {
  const refused = [SEND, answer("51"), SEND, answer("51")];
  expect(after(refused)).toMatchObject({ at: "waiting", refusals: 2 });
  const last = step(after([...refused, SEND]), answer("05"));
  expect(last.state).toEqual({ at: "exception", sends: 3, refusals: 3, responseCode: "05" });
  expect(last.effects).toEqual([{ do: "list-exception" }]);
});

test("an issuer that cannot just now has refused nothing, and silence refuses nothing", () => {
  const events = Array.from({ length: 20 }, () => [SEND, answer("91"), SEND, LOST]).flat();
  expect(after(events)).toMatchObject({ at: "waiting", sends: 40, refusals: 0 });
});

test("an issuer that has the advice already is as good as one that takes it, be its answer late", () => {
  expect(after([SEND, answer("94")]).at).toBe("delivered");
  expect(after([SEND, LOST, answer("00")]).at).toBe("delivered");
});

test("a refusal that comes late is of a sending that no longer counts", () => {
  const lost = after([SEND, LOST]);
  expect(step(lost, answer("05"))).toEqual({ state: lost, effects: [] });
});

test("a person takes an entry out of the way that the issuer never answers", () => {
  const aside = step(after([SEND, LOST]), { on: "set-aside" });
  expect(aside).toEqual({ state: { at: "exception", sends: 1, refusals: 0 }, effects: [{ do: "list-exception" }] });
});

test("repeats wait twice as long each time, up to the longest delay", () => {
  const delays = Array.from({ length: 9 }, (_, repeats) => {
    const state = after(Array.from({ length: repeats + 1 }, () => [SEND, LOST]).flat());
    return state.at === "waiting" ? (state.dueAt - NOW) / 1_000 : undefined;
  });
  expect(delays).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
});

test("RM1 an approval is advised only; a decline is reversed first when its request was sent", () => {
  expect(entriesFor({ approved: true, sent: true })).toEqual(["advice"]);
  expect(entriesFor({ approved: true, sent: false })).toEqual(["advice"]);
  expect(entriesFor({ approved: false, sent: false })).toEqual(["advice"]);
  expect(entriesFor({ approved: false, sent: true })).toEqual(["reversal", "advice"]);
});

test("entries of one attempt and kind have one key; another attempt, kind, payment or terminal has another", () => {
  const one = entry(1, "anna");
  const entries = [one, entry(2, "anna"), entry(1, "anna", { kind: "reversal" })];
  const keys = [...entries, { ...one, attempt: 2 }, { ...one, terminalId: "shop-2" as TerminalId }].map(entryKey);
  expect(new Set(keys).size).toBe(5);
  expect(entryKey(entry(1, "ben"))).toBe(entryKey(one));
});

test("RM15 approvals and reversals hold their account while they are open, declines do not", () => {
  const declined = { approved: false };
  const open = [entry(1, "anna"), entry(2, "anna", declined), entry(2, "anna", { ...declined, kind: "reversal" })];
  expect(open.map(holdsAccount)).toEqual([true, false, true]);
  expect(open.map((each) => holdsAccount({ ...each, state: after([SEND]) }))).toEqual([true, false, true]);
  for (const ended of [after([SEND, answer("00")]), after([{ on: "set-aside" }])])
    expect(open.map((each) => holdsAccount({ ...each, state: ended }))).toEqual([false, false, false]);
});

test("of each account the oldest open entry is due, others move past it, and no more are under way than the bound", () => {
  const sent = { at: "sent", sends: 1, refusals: 0 } as const;
  const waits = { at: "waiting", sends: 1, refusals: 0, dueAt: NOW + 1 } as const;
  const ended = { at: "delivered", sends: 1, refusals: 0 } as const;
  const due = (...entries: readonly AdviceEntry[]) => dueAdvices(entries, POLICY, NOW).map(({ number }) => number);
  const [a1, a2, b3, c4] = [entry(1, "anna"), entry(2, "anna"), entry(3, "ben"), entry(4, "cleo")];
  expect(due(a1, a2, b3, c4)).toEqual([1, 3]);
  expect(due({ ...a1, state: ended }, a2, b3)).toEqual([2, 3]);
  expect(due({ ...a1, state: sent }, a2, b3, c4)).toEqual([3]);
  expect(due({ ...a1, state: sent }, { ...b3, state: sent }, c4)).toEqual([]);
  expect(due({ ...a1, state: waits }, a2, b3)).toEqual([3]);
});

test("a clock that was set back makes no repeat wait longer than the longest delay", () => {
  const waits = { at: "waiting", sends: 1, refusals: 0, dueAt: NOW } as const;
  const entries = [{ ...entry(1, "anna"), state: waits }];
  expect(dueAdvices(entries, POLICY, NOW - POLICY.retryMaxMs)).toEqual([]);
  expect(dueAdvices(entries, POLICY, NOW - POLICY.retryMaxMs - 1).length).toBe(1);
});

/** What becomes of one sending, or of the program. */
type Chance =
  | { readonly kind: "deliver"; readonly responseCode: string; readonly copies: number; readonly answerLost: boolean }
  | { readonly kind: "lose" }
  | { readonly kind: "crash-before" | "crash-behind" };
const chances: fc.Arbitrary<readonly Chance[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant("deliver" as const),
      responseCode: fc.constantFrom("00", "00", "05", "91"),
      copies: fc.integer({ min: 1, max: 3 }),
      answerLost: fc.boolean(),
    }),
    fc.constantFrom<Chance>({ kind: "lose" }, { kind: "crash-before" }, { kind: "crash-behind" }),
  ),
  { maxLength: 60 },
);

/** Posts an entry the first time that it takes it; knows it ever after. */
class Books {
  readonly posted: number[] = [];
  receive(number: number, wanted: string): string {
    if (this.posted.includes(number)) return "94";
    if (wanted === "00") this.posted.push(number);
    return wanted;
  }
}

/** A log as a store keeps it, as text, and a link that does what chance says. */
class Drain {
  readonly books = new Books();
  readonly #texts = new Map<number, string>();
  readonly #entries: readonly AdviceEntry[];
  #underway = new Map<number, Chance>();
  #now = NOW;

  constructor(accounts: readonly string[]) {
    this.#entries = accounts.map((account, index) => entry(index + 1, account));
    for (const { number, state } of this.#entries) this.#texts.set(number, JSON.stringify(state));
  }

  get entries(): readonly AdviceEntry[] {
    return this.#entries.map((each) => ({ ...each, state: this.#state(each.number) }));
  }

  /** Sends all that is due, each with the next chance; then the link does what was drawn, last sent first. */
  round(next: () => Chance): void {
    this.#now += POLICY.retryMaxMs;
    for (const { number } of dueAdvices(this.entries.filter(isOpen), POLICY, this.#now)) {
      const chance = next();
      const effects = this.#move(number, { on: "send" });
      expect(effects.map((effect) => effect.do)).toEqual(["transmit"]);
      if (chance.kind === "crash-before") {
        this.#restart();
        return;
      }
      this.#underway.set(number, chance);
    }
    const sent = this.entries.filter(({ state }) => state.at === "sent");
    expect(sent.length).toBeLessThanOrEqual(POLICY.inFlightMax);
    expect(new Set(sent.map(({ account }) => account)).size).toBe(sent.length);
    for (const [number, chance] of [...this.#underway].reverse()) {
      if (chance.kind === "crash-behind") {
        this.books.receive(number, "00");
        this.#restart();
        return;
      }
      this.#underway.delete(number);
      this.#arrive(number, chance);
    }
  }

  #arrive(number: number, chance: Chance): void {
    const now = this.#now;
    const copies = chance.kind === "deliver" ? chance.copies : 0;
    const answers = Array.from({ length: copies }, () =>
      this.books.receive(number, chance.kind === "deliver" ? chance.responseCode : "00"),
    );
    if (chance.kind !== "deliver" || chance.answerLost) this.#move(number, { on: "lost", now });
    else for (const responseCode of answers) this.#move(number, { on: "answer", answer: meaningOf(responseCode), now });
  }

  /** All but the texts is gone. */
  #restart(): void {
    this.#underway.clear();
    for (const { number } of this.#entries) this.#move(number, { on: "lost", now: this.#now });
  }

  #state(number: number): AdviceState {
    return JSON.parse(this.#texts.get(number) ?? "");
  }

  #move(number: number, event: AdviceEvent) {
    const state = this.#state(number);
    const moved = step(state, event);
    if (state.at === "delivered" || state.at === "exception") expect(moved.state).toBe(state);
    this.#texts.set(number, JSON.stringify(moved.state));
    return moved.effects;
  }
}

const WELL: Chance = { kind: "deliver", responseCode: "00", copies: 1, answerLost: false };

test("AC3.5 each advice takes effect once or is on the exception list, in the order of its account, through losses, doubles, refusals and crashes", () => {
  const accounts = fc.array(fc.constantFrom("anna", "ben", "cleo", "dora"), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(accounts, chances, (owners, drawn) => {
      const drain = new Drain(owners);
      const left = [...drawn];
      for (let round = 0; drain.entries.some(isOpen); round += 1) {
        expect(round).toBeLessThan(owners.length + drawn.length + 1);
        drain.round(() => left.shift() ?? WELL);
      }
      const { posted } = drain.books;
      const exceptions = drain.entries.filter(({ state }) => state.at === "exception").map(({ number }) => number);
      expect([...posted, ...exceptions].sort((a, b) => a - b)).toEqual(owners.map((_, index) => index + 1));
      for (const owner of new Set(owners)) {
        const ofOwner = posted.filter((number) => owners[number - 1] === owner);
        expect(ofOwner).toEqual(ofOwner.toSorted((a, b) => a - b));
      }
    }),
    { numRuns: 300 },
  );
});
