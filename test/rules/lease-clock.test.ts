/** RM8: time is hub time, carried on by the time since boot, and never goes back. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { SignedHubClock, wallTime } from "../../agent/lease/hub-clock.ts";
import type { TerminalId } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import {
  answeredTime,
  HandBoot,
  HOUR,
  hubKeys,
  MemoryJournal,
  NINE,
  signedTime,
  strangerKeys,
  TERMINAL,
} from "./lease-fixture.ts";

let drawn = 0;
const chance = (length: number) => {
  drawn += 1;
  return new Uint8Array(length).fill(drawn % 256);
};
const clockOver = (journal: MemoryJournal, boot: HandBoot) =>
  new SignedHubClock({
    terminalId: TERMINAL,
    hubSigningKey: hubKeys.publicKey,
    journal,
    boot,
    random: chance,
    log: silentLog,
  });

/** As one that has asked the hub at nine. */
function proven(clock: SignedHubClock): SignedHubClock {
  expect(clock.hear(answeredTime(NINE, clock.question()))).toBe("heard");
  return clock;
}

test("RM8 before the hub was ever heard, time is unproven", () => {
  const clock = clockOver(new MemoryJournal(), new HandBoot());
  expect(clock.now().proven).toBe(false);
});

test("RM8 a signed time proves the time, and the time since boot carries it on", () => {
  const boot = new HandBoot();
  const clock = proven(clockOver(new MemoryJournal(), boot));
  boot.uptime += HOUR;
  expect(clock.now()).toEqual({ at: NINE + HOUR, proven: true });
});

test("RM8 a restart of the process within one boot keeps the proof", () => {
  const journal = new MemoryJournal();
  const boot = new HandBoot();
  proven(clockOver(journal, boot));
  boot.uptime += HOUR;
  expect(clockOver(journal, boot).now()).toEqual({ at: NINE + HOUR, proven: true });
});

test("RM8 after a reboot time is unproven until the hub was heard, and no less than the high-water and the time since boot", () => {
  const journal = new MemoryJournal();
  const boot = new HandBoot();
  proven(clockOver(journal, boot));
  boot.reboot();
  const clock = clockOver(journal, boot);
  expect(clock.now()).toEqual({ at: NINE + boot.uptime, proven: false });
  clock.hear(answeredTime(NINE + HOUR, clock.question()));
  expect(clock.now()).toEqual({ at: NINE + HOUR, proven: true });
});

test("RM8 a machine that is up longer than at the last storing, but was rebooted, has proven nothing", () => {
  const journal = new MemoryJournal();
  const boot = new HandBoot();
  proven(clockOver(journal, boot));
  boot.reboot();
  boot.uptime = HOUR;
  expect(clockOver(journal, boot).now()).toEqual({ at: NINE + HOUR, proven: false });
});

test("RM8 an old signed time replayed after a reboot proves nothing", () => {
  const journal = new MemoryJournal();
  const boot = new HandBoot();
  proven(clockOver(journal, boot));
  boot.reboot();
  const clock = clockOver(journal, boot);
  expect(clock.hear(signedTime(NINE - HOUR))).toBe("old");
  expect(clock.now().proven).toBe(false);
  expect(clock.ignored).toBe(1);
});

test("RM8 after a reboot only the answer to a question of this start proves the time, even where the disk knows of nothing newer", () => {
  const journal = new MemoryJournal();
  const boot = new HandBoot();
  const known = proven(clockOver(journal, boot));
  const copy = new Map(journal.kept);
  boot.uptime += HOUR;
  const recorded = signedTime(NINE + HOUR);
  expect(known.hear(recorded)).toBe("heard");
  for (const [name, text] of copy) journal.kept.set(name, text);
  boot.reboot();
  const clock = clockOver(journal, boot);
  const asked = clock.question();
  expect(clock.hear(recorded)).toBe("old");
  expect(clock.hear(answeredTime(NINE + HOUR, "AAECAwQFBgcICQoLDA0ODw"))).toBe("old");
  expect(clock.now().proven).toBe(false);
  expect(clock.hear(answeredTime(NINE + 9 * HOUR, asked))).toBe("heard");
  expect(clock.now()).toEqual({ at: NINE + 9 * HOUR, proven: true });
  expect(clock.question()).toBe(undefined);
});

test("RM8 an answer that took long proves nothing, and of many questions the newest are remembered", () => {
  const boot = new HandBoot();
  const clock = clockOver(new MemoryJournal(), boot);
  const asked = clock.question();
  boot.uptime += 10_001;
  expect(clock.hear(answeredTime(NINE, asked))).toBe("old");
  const [first, second] = Array.from({ length: 9 }, () => clock.question());
  expect(clock.hear(answeredTime(NINE, first))).toBe("old");
  expect(clock.hear(answeredTime(NINE, second))).toBe("heard");
});

test("RM8 an old signed time replayed in the same boot changes nothing", () => {
  const boot = new HandBoot();
  const clock = proven(clockOver(new MemoryJournal(), boot));
  boot.uptime += HOUR;
  expect(clock.hear(signedTime(NINE))).toBe("old");
  expect(clock.hear(signedTime(NINE + 1))).toBe("heard");
  expect(clock.now().at).toBeGreaterThanOrEqual(NINE + HOUR);
  boot.uptime += HOUR;
  expect(clock.now().at).toBeGreaterThan(NINE + 2 * HOUR - 5_000);
});

test("RM8 an old signed time replayed after a restart in the same boot is no news", () => {
  const journal = new MemoryJournal();
  const boot = new HandBoot();
  proven(clockOver(journal, boot));
  boot.uptime += 1_000;
  const clock = clockOver(journal, boot);
  expect(clock.hear(signedTime(NINE - 60_000))).toBe("old");
  expect(clock.now()).toEqual({ at: NINE + 1_000, proven: true });
  expect(clock.hear(signedTime(NINE + 1_000))).toBe("heard");
});

test("RM8 times of another terminal, of another key or of no form are ignored", () => {
  const clock = clockOver(new MemoryJournal(), new HandBoot());
  expect(clock.hear(signedTime(NINE, "till-2" as TerminalId))).toBe("invalid");
  expect(clock.hear(signedTime(NINE, TERMINAL, strangerKeys))).toBe("invalid");
  expect(clock.hear({ text: "{", signature: "AAAA" })).toBe("invalid");
  expect(clock.now().proven).toBe(false);
  expect(clock.ignored).toBe(3);
});

test("RM8 the high-water is stored at most once in thirty seconds, and again when it jumps", () => {
  const journal = new MemoryJournal();
  const boot = new HandBoot();
  const clock = proven(clockOver(journal, boot));
  for (let second = 0; second < 29; second += 1) {
    clock.hear(signedTime(NINE + second * 1_000));
    boot.uptime += 1_000;
  }
  expect(journal.keeps).toBe(1);
  clock.hear(signedTime(NINE + HOUR));
  expect(journal.keeps).toBe(2);
});

test("a damaged note of the high-water counts as none", () => {
  const journal = new MemoryJournal();
  journal.kept.set("hub-time", '{"at":"noon"}');
  expect(clockOver(journal, new HandBoot()).now()).toEqual({ at: 0, proven: false });
});

test("RM8 whatever comes in whatever order, time never goes back and never runs behind a heard time", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("hear" as const), at: fc.integer({ min: 0, max: 100 * HOUR }) }),
    fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 10 * HOUR }) }),
    fc.record({ do: fc.constant("restart" as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const journal = new MemoryJournal();
      const boot = new HandBoot();
      let clock = clockOver(journal, boot);
      let shown = 0;
      for (const one of steps) {
        if (one.do === "pass") boot.uptime += one.ms;
        else if (one.do === "restart") clock = clockOver(journal, boot);
        else if (clock.hear(answeredTime(NINE + one.at, clock.question())) === "heard") {
          expect(clock.now().at).toBeGreaterThanOrEqual(NINE + one.at);
        }
        // A restart may lose what was shown within the last thirty seconds of storing, and no more.
        const { at } = clock.now();
        expect(at).toBeGreaterThanOrEqual(one.do === "restart" ? shown - 35_000 : shown);
        shown = at;
      }
    }),
  );
});

test("RM8 after a reboot in 1970 entries are dated no earlier than the high-water, and by the box's clock once that is later", () => {
  const journal = new MemoryJournal();
  const boot = new HandBoot();
  proven(clockOver(journal, boot));
  boot.reboot();
  const clock = clockOver(journal, boot);
  expect(wallTime(clock, { now: () => 0 })).toBe(NINE + boot.uptime);
  expect(wallTime(clock, { now: () => NINE + 9 * HOUR })).toBe(NINE + 9 * HOUR);
  clock.hear(answeredTime(NINE + HOUR, clock.question()));
  expect(wallTime(clock, { now: () => NINE + 9 * HOUR })).toBe(NINE + HOUR);
});
