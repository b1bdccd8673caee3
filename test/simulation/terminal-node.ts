/** The agent as a program of a simulated world: all of it below the native parts. */
import { type AgentCore, startAgentCore } from "../../agent/agent-core.ts";
import { type AgentConfig, AgentConfigSchema } from "../../agent/config.ts";
import type { Identity } from "../../agent/identity.ts";
import type { Boot } from "../../agent/lease/hub-clock.ts";
import type { NodeContext, NodeFactory } from "../../sim/world/node.ts";
import type { Counter } from "./counter.ts";
import type { Frame } from "./frames.ts";
import { HUB } from "./hub-node.ts";
import { SimulatedUplink } from "./simulated-uplink.ts";

export interface TerminalNodeOptions {
  readonly identity: Identity;
  readonly counter: Counter;
  /** Of the machine, which a killed process does not restart. */
  readonly boot: (context: NodeContext) => Boot;
  readonly freeBytes: () => number;
  /** Told right after a frame has left. */
  readonly onSent: (frame: Frame) => void;
  /** The core of each life once it has started. */
  readonly onCore: (core: AgentCore) => void;
  /** The program wants to end: its supervisor starts another. */
  readonly exit: (why: unknown) => void;
}

export function terminalNode(options: TerminalNodeOptions): NodeFactory {
  return async (context) => {
    const { identity, counter, boot, freeBytes, exit } = options;
    const core = await startAgentCore({
      ...context,
      config: configOf(context),
      identity,
      devices: counter.devices(context),
      boot: boot(context),
      freeBytes,
      uplink: () => new SimulatedUplink({ clock: context.clock, attach: overheard(context, options) }, HUB),
      onFatal: (error) => {
        if (context.isAlive()) exit(error);
      },
      onStage: () => undefined,
      answerFirst: (then) => void setImmediate(then),
    });
    options.onCore(core);
    return {
      async stop() {
        await core[Symbol.asyncDispose]();
      },
    };
  };
}

const overheard =
  ({ attach }: NodeContext, { onSent }: TerminalNodeOptions): NodeContext["attach"] =>
  (receive) => {
    const port = attach(receive);
    const send = (to: string, frame: unknown) => {
      port.send(to, frame);
      onSent(frame as Frame);
    };
    return { send, detach: () => port.detach() };
  };

const configOf = ({ folder }: NodeContext): AgentConfig =>
  AgentConfigSchema.parse({
    dataDir: folder,
    site: { merchantName: "Shop", timeZone: "Europe/Berlin", currency: "EUR" },
    // The cards of a simulation have no certificates, so that a day takes seconds: no code may refuse them for that.
    emv: { actionCodes: { online: "0000000000", default: "0000000000" } },
    payment: { cardTimeoutSec: 30 },
  });
