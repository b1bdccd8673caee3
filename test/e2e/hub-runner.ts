/** `tillway hub` alone, as a process of its own. */
import { Command } from "commander";
import { registerHub } from "../../hub/cli.ts";

const program = new Command("tillway");
registerHub(program);
await program.parseAsync();
