/** An uplink of a few lines. */
import type { Fault } from "../../base/fault.ts";
import type { UpEnvelope, UpOf } from "../../wire/envelope.ts";
import { LinkEvents } from "./link-events.ts";
import type { Uplink } from "./uplink.ts";

/** Keeps what was sent; `reply` plays the hub. */
export class HandUplink extends LinkEvents implements Uplink {
  readonly name = "hand";
  readonly sent: UpEnvelope[] = [];
  reply: (envelope: UpEnvelope) => void = () => undefined;
  fault: Fault | undefined;
  send(envelope: UpEnvelope): Promise<void> {
    if (this.fault) return Promise.reject(this.fault);
    this.sent.push(envelope);
    this.reply(envelope);
    return Promise.resolve();
  }
  requests(): UpOf<"authorisation.request">[] {
    return this.sent.filter((envelope) => envelope.type === "authorisation.request");
  }
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
