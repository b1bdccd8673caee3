/** A customer's phone as its own process, worked by its control socket. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { type ControlAnswer, type ControlValue, control } from "../../sim/control.ts";
import { type Program, startReady } from "./processes.ts";

export interface PhoneOptions {
  /** Short, because a Unix socket lies in it. */
  readonly folder: string;
  readonly name: string;
}

export class Phone implements AsyncDisposable {
  readonly #options: PhoneOptions;
  readonly #program: Program;

  private constructor(options: PhoneOptions, program: Program) {
    this.#options = options;
    this.#program = program;
  }

  /** With the memory that its folder holds from earlier, if any. */
  static async start(options: PhoneOptions): Promise<Phone> {
    const { folder, name } = options;
    const args = ["sim", "phone", "--state", stateOf(options), "--control", socketOf(options)];
    const { program } = await startReady({ name, args, logFile: join(folder, `${name}.log`) });
    return new Phone(options, program);
  }

  get pid(): number {
    return this.#program.pid;
  }

  do(command: string, fields: Readonly<Record<string, ControlValue>> = {}): Promise<ControlAnswer> {
    return control(socketOf(this.#options), { ...fields, do: command });
  }

  /** `OF1:…` of its newest code that can pay. */
  async shown(): Promise<string> {
    return String((await this.do("show"))["text"]);
  }

  /** `OA1:…`, the answer to a terminal's challenge. */
  async pay(challenge: string | undefined): Promise<string> {
    return String((await this.do("pay", { challenge: challenge ?? "" }))["text"]);
  }

  /** Another phone with a copy of all that this one remembers. */
  async copied(name: string): Promise<Phone> {
    const copy = { ...this.#options, name };
    cpSync(stateOf(this.#options), stateOf(copy), { recursive: true });
    return await Phone.start(copy);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.stop();
  }
}

const stateOf = ({ folder, name }: PhoneOptions): string => join(folder, `${name}-phone`);
const socketOf = ({ folder, name }: PhoneOptions): string => join(folder, `${name}.sock`);
