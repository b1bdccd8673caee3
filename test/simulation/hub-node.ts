/** The hub as a program of a simulated world: the real core over the real store, behind a port instead of its gateways. */
import { join } from "node:path";
import { type Fault, isFault, reasonOf } from "../../base/fault.ts";
import type { Sqlite } from "../../base/sqlite.ts";
import { createHubCore, type HubCore, type HubPolicy, openHubDatabase } from "../../hub/hub-core.ts";
import type { HubKeys } from "../../hub/keys.ts";
import { sqliteStore } from "../../hub/store/sqlite-store.ts";
import type { NodeContext, NodeFactory } from "../../sim/world/node.ts";
import { decodeUp, encodeEnvelope } from "../../wire/envelope.ts";
import type { Frame } from "./frames.ts";

export const HUB = "hub";
const SWEEP_EVERY_MS = 600_000;
/** What a broker delivers once more to a terminal that connects. */
const REMEMBERED_MAX = 100;

export interface HubNodeOptions {
  readonly keys: HubKeys;
  readonly policy: HubPolicy;
  /** The core of each life, as soon as it is there. */
  readonly onCore: (core: HubCore, database: Sqlite) => void;
  /** What a terminal sent was refused. */
  readonly onRefused: (fault: Fault) => void;
  /** A broker had acknowledged what the hub then did not take. */
  readonly onUnseen: () => void;
  /** All nodes that listen as the terminal that this one says it is. */
  readonly listeners: (from: string) => readonly string[];
  /** Messages of this type do not reach that node just now. */
  readonly isLost: (to: string, type: string) => boolean;
  /** A broker between terminal and hub takes what comes before the hub has seen it. */
  readonly taken: "on-arrival" | "when-stored";
  /** What such a broker has sent to the terminal, of which it never knows for certain that it came; else nothing. */
  readonly remembered: (from: string) => Frame[];
}

export function hubNode(options: HubNodeOptions): NodeFactory {
  return async (context) => {
    const database = openHubDatabase(join(context.folder, "hub.db"));
    const store = sqliteStore(database);
    const core = await createHubCore({ store, ...options, ...context });
    options.onCore(core, database);
    const port = context.attach((from, value) => {
      const frame = value as Frame;
      if (frame.frame === "hello") {
        port.send(from, { frame: "welcome", session: frame.session } satisfies Frame);
        if (frame.state === "down") for (const down of options.remembered(from)) port.send(from, down);
      }
      if (frame.frame === "up")
        void serve({ core, context, options, from, frame, send: (down, to = from) => port.send(to, down) });
    });
    sweep(core, context);
    return {
      async stop() {
        await core.idle();
        await store[Symbol.asyncDispose]();
      },
    };
  };
}

interface Serving {
  readonly core: HubCore;
  readonly context: NodeContext;
  readonly options: HubNodeOptions;
  readonly from: string;
  readonly frame: Extract<Frame, { frame: "up" }>;
  /** To whom it came from, when not said. */
  send(frame: Frame, to?: string): void;
}

/**
 * As the gateways do: taken when it is committed, the answers after that; a hub that cannot store says nothing. Who is
 * refused hears of it, unless a broker took the message before.
 */
async function serve({ core, context, options, from, frame, send }: Serving): Promise<void> {
  const { number } = frame;
  if (options.taken === "on-arrival") send({ frame: "taken", number });
  try {
    const answers = await core.receive(decodeUp(frame.text));
    send({ frame: "taken", number });
    for (const answer of answers) {
      const down: Frame = { frame: "down", text: encodeEnvelope(answer) };
      // A terminal's topic is its id: a copy of it hears what the other is told.
      for (const to of options.listeners(from)) if (!options.isLost(to, answer.type)) send(down, to);
      const remembered = options.remembered(from);
      if (answer.type !== "lease" && remembered.push(down) > REMEMBERED_MAX) remembered.shift();
    }
  } catch (error) {
    if (options.taken === "on-arrival") options.onUnseen();
    if (!isFault(error)) {
      // A bug of the hub must not look like a refusal.
      if (context.isAlive()) throw error;
      return;
    }
    context.log.warn("a message was refused", { code: error.code, why: reasonOf(error) });
    options.onRefused(error);
    if (error.code !== "store.failed" && error.code !== "queue.full")
      send({ frame: "refused", number, code: error.code });
  }
}

function sweep(core: HubCore, context: NodeContext): void {
  context.clock.after(SWEEP_EVERY_MS, () => {
    core
      .expireHolds()
      .catch((error: unknown) => context.log.warn("the sweep failed", { why: reasonOf(error) }))
      .finally(() => sweep(core, context));
  });
}
