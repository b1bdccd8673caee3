import { expect, test } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import { Fault } from "../../../base/fault.ts";
import type { Epoch, TerminalId } from "../../../base/ids.ts";
import type { DownEnvelope, UpEnvelope } from "../../../wire/envelope.ts";
import type { Uplink } from "../../uplink/uplink.ts";
import { ANSWER_LIMIT_MS, UplinkCardHub } from "./card-hub.ts";

const QUESTION = { type: "card.lookup", body: { txnId: "CP-1" } } as const;
const never = new AbortController().signal;

function link(send: (envelope: UpEnvelope) => Promise<void> = () => Promise.resolve()) {
  const clock = new ManualClock();
  const sent: UpEnvelope[] = [];
  let listener: (envelope: DownEnvelope) => void = () => undefined;
  let ids = 0;
  const head = () => {
    ids += 1;
    const id = ids.toString().padStart(24, "0");
    const epoch = "00112233aabbccdd" as Epoch;
    return {
      v: 1 as const,
      id,
      terminalId: "T1" as TerminalId,
      epoch,
      sequence: 0,
      sentAt: "2026-01-05T09:00:00.000Z",
    };
  };
  const uplink: Uplink = {
    name: "test",
    state: "up",
    send(envelope) {
      sent.push(envelope);
      return send(envelope);
    },
    onMessage(heard) {
      listener = heard;
      return () => {
        listener = () => undefined;
      };
    },
    onState: () => () => undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const hub = new UplinkCardHub({ uplink, envelopes: { head }, clock });
  const reply = (replyTo: string, status: "open" | "approved") =>
    listener({ ...head(), type: "card.result", body: { replyTo, txnId: "CP-1", status } });
  return { clock, sent, hub, reply };
}

test("RM1 each question gets its own answer; one that nobody waits for any more is dropped", async () => {
  const { clock, sent, hub, reply } = link();
  const first = hub.ask(QUESTION, never).catch((error: unknown) => error);
  await clock.advance(ANSWER_LIMIT_MS);
  expect(await first).toMatchObject({ code: "uplink.timeout" });
  const second = hub.ask(QUESTION, never);
  reply(sent[0]?.id ?? "", "open");
  reply(sent[1]?.id ?? "", "approved");
  expect(await second).toMatchObject({ status: "approved" });
});

test("an answer before its acknowledgement counts; what could not be sent is told as the link tells it", async () => {
  const early = link(() => new Promise(() => undefined));
  const asked = early.hub.ask(QUESTION, never);
  early.reply(early.sent[0]?.id ?? "", "open");
  expect(await asked).toMatchObject({ status: "open" });
  const down = link(() => Promise.reject(new Fault("uplink.down", "no link")));
  await expect(down.hub.ask(QUESTION, never)).rejects.toMatchObject({ code: "uplink.down" });
});

test("whoever gives up is told why, not that the hub was silent", async () => {
  const { hub } = link();
  const gone = new AbortController();
  const asked = hub.ask(QUESTION, gone.signal);
  gone.abort(new Fault("card.removed", "the card left"));
  await expect(asked).rejects.toMatchObject({ code: "card.removed" });
});

test("no more questions wait than their limit", async () => {
  const { hub, sent } = link();
  for (let number = 0; number < 64; number += 1) void hub.ask(QUESTION, never).catch(() => undefined);
  await expect(hub.ask(QUESTION, never)).rejects.toMatchObject({ code: "uplink.down" });
  expect(sent).toHaveLength(64);
});
