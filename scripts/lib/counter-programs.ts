/** The processes of a counter: its devices on their real interfaces, and what the product runs beside them. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type ControlAnswer, type ControlCommand, control } from "../../sim/control.ts";
import type { CounterDevice } from "./counter-config.ts";
import { type Program, type StartOptions, startReady, tail } from "./processes.ts";

export type ProgramName = "pcscd" | "card" | "card-2" | "printer" | "scanner" | "hub" | "agent";
/** Of the reader: it takes two cards. */
export type Slot = 0 | 1;

const STOPPED_IN_ORDER: readonly ProgramName[] = ["agent", "hub", "scanner", "printer", "card", "card-2", "pcscd"];

export class CounterPrograms {
  /** Short, because Unix sockets live in it. */
  readonly folder: string;
  protected pcscSocket = "";
  protected scannerUri = "";
  /** With it the agent sees the scanner. */
  protected agentEnv: Readonly<Record<string, string>> = {};
  readonly #programs = new Map<string, Program>();
  #pcscPort = 0;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(join(folder, "tickets"), { recursive: true });
  }

  protected async startDevices(devices: readonly CounterDevice[], onStep: (step: string) => void): Promise<void> {
    if (devices.includes("reader")) {
      onStep("a private pcscd with a virtual reader");
      await this.startPcscd();
      onStep("a simulated chip card");
      await this.startCard();
    }
    if (devices.includes("printer")) {
      onStep("a receipt printer on a pseudo terminal");
      await this.startPrinter();
    }
    if (devices.includes("scanner")) {
      onStep("a code scanner on hidraw");
      await this.startScanner();
    }
  }

  async startPcscd(): Promise<void> {
    const folder = join(this.folder, "pcscd");
    mkdirSync(folder, { recursive: true });
    const port = this.#pcscPort ? ["--port", String(this.#pcscPort)] : [];
    const ready = await this.startReady("pcscd", ["sim", "pcscd", "--folder", folder, ...port]);
    this.pcscSocket = String(ready["socket"]);
    this.#pcscPort = Number(ready["port"]);
  }

  async startCard(slot: Slot = 0): Promise<void> {
    const name = cardName(slot);
    const port = String(this.#pcscPort + slot);
    const state = join(this.folder, `${name}-state.json`);
    await this.startReady(name, ["sim", "card", "--port", port, "--control", this.#socket(name), "--state", state]);
  }

  async startPrinter(): Promise<void> {
    await this.startReady("printer", [
      "sim",
      "printer",
      "--link",
      join(this.folder, "printer"),
      "--control",
      this.#socket("printer"),
      "--out",
      join(this.folder, "tickets"),
    ]);
  }

  async startScanner(): Promise<void> {
    const ready = await this.startReady("scanner", ["sim", "scanner", "--control", this.#socket("scanner")]);
    this.scannerUri = String(ready["uri"]);
    this.agentEnv = ready["environment"] as Record<string, string>;
  }

  program(name: ProgramName): Program {
    const program = this.#programs.get(name);
    if (!program) throw new Error(`${name} was not started`);
    return program;
  }

  card(command: ControlCommand, slot: Slot = 0): Promise<ControlAnswer> {
    return control(this.#socket(cardName(slot)), command);
  }
  printer(command: ControlCommand): Promise<ControlAnswer> {
    return control(this.#socket("printer"), command);
  }

  scanner(command: ControlCommand): Promise<ControlAnswer> {
    return control(this.#socket("scanner"), command);
  }

  /** The text of every ticket cut so far, in order. */
  async tickets(): Promise<readonly string[]> {
    const answer = await this.printer({ do: "tickets" });
    return (answer["tickets"] as { text: string }[]).map((ticket) => ticket.text);
  }

  log(name: string): string {
    return tail(join(this.folder, `${name}.log`), 40);
  }

  protected async startReady(
    name: string,
    args: readonly string[],
    how: Pick<StartOptions, "env" | "through"> = {},
  ): Promise<Record<string, unknown>> {
    const { program, ready } = await startReady({ name, args, ...how, logFile: join(this.folder, `${name}.log`) });
    this.#programs.set(name, program);
    return ready;
  }

  protected async stopPrograms(): Promise<void> {
    for (const program of this.#running) await program.stop();
  }
  protected get programPids(): readonly number[] {
    return this.#running.map(({ pid }) => pid);
  }
  get #running(): readonly Program[] {
    return STOPPED_IN_ORDER.flatMap((name) => this.#programs.get(name) ?? []);
  }

  #socket(name: string): string {
    return join(this.folder, `${name}.sock`);
  }
}

const cardName = (slot: Slot): "card" | "card-2" => (slot === 0 ? "card" : "card-2");
