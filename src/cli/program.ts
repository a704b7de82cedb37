import { Command, CommanderError } from "commander";
import { Failure } from "../runtime/failure.ts";
import { runController } from "./controller.ts";
import { addCostOptions, runCost } from "./cost.ts";
import { addEncryptOptions, runEncrypt } from "./encrypt.ts";
import { addControllerOptions, type ControllerFlags, type ControllerSettings, controllerSettings } from "./flags.ts";
import { print, say } from "./output.ts";
import { addPolicyOptions, runPolicy } from "./policy.ts";
import { addReencryptOptions, runReencrypt } from "./reencrypt.ts";
import { addRenderOptions, runRender } from "./render.ts";
import { oneLine, UsageError } from "./usage.ts";
import { version } from "./version.ts";
import { forCommand } from "./words.ts";

/** Exit code of an invalid command line. */
const usageError = 2;

/**
 * Runs the program.
 *
 * @param args the command line, without the interpreter and the script
 * @returns the exit code: 0 on success, 1 on failure, 2 for a wrong flag or value
 */
export async function run(args: string[]): Promise<number> {
  const program = new Command("keyferry")
    .description("Carries AWS Systems Manager parameters and KMS-encrypted blobs into Kubernetes Secrets.")
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: print,
      writeErr: (text) => say(text.trimEnd()),
      outputError: (text, write) => write(oneLine(text)),
    })
    .showHelpAfterError(false);
  let exitCode = 0;
  const controller = program
    .command("controller")
    .description("Run the operator: outside a cluster with KUBECONFIG, inside one with its ServiceAccount.")
    .exitOverride();
  addControllerOptions(controller);
  controller.action(async (flags: ControllerFlags) => {
    let settings: ControllerSettings;
    try {
      settings = controllerSettings(flags);
    } catch (error) {
      return controller.error(`error: ${(error as Error).message}`);
    }
    exitCode = await runController(settings);
  });
  const forPeople = <Flags>(
    name: string,
    addOptions: (command: Command) => unknown,
    work: (flags: Flags, args: readonly string[]) => Promise<number>,
  ) => {
    const command = program.command(name).exitOverride();
    addOptions(command);
    command.action(async () => {
      exitCode = await perform(command, () => work(command.opts() as Flags, command.args));
    });
  };
  forPeople("encrypt", addEncryptOptions, runEncrypt);
  forPeople("reencrypt", addReencryptOptions, runReencrypt);
  forPeople("render", addRenderOptions, runRender);
  forPeople("policy", addPolicyOptions, runPolicy);
  forPeople("cost", addCostOptions, runCost);
  program
    .command("version")
    .description("Print the version.")
    .exitOverride()
    .action(() => print(`${version}\n`));
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof Failure) {
      say(`keyferry: ${error.message}`);
      return 1;
    }
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : usageError;
  }
}

/** Runs a one-shot command: a failure is one line on standard error. */
async function perform(command: Command, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UsageError) return command.error(`error: ${error.message}`);
    say(`keyferry: ${error instanceof Failure ? forCommand(error) : placeOf(error)}`);
    return 1;
  }
}

/** The place of an unexpected error in the program. The error's message may quote a value; its place does not. */
function placeOf(error: unknown): string {
  const { name, stack = "" } = error instanceof Error ? error : new Error();
  const frames = stack.split("\n").filter((line) => /^ {4}at /.test(line));
  return [`internal error (${name}); include these lines in a bug report:`, ...frames.slice(0, 8)].join("\n");
}
