import type { Command } from 'commander';

/** Runs the command of this process; an error ends it with its message alone. */
export function runCommand(command: Command): void {
  command.parseAsync().catch((error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
