import { toStudioError } from "../core/errors";

/** Runs a command; returns the exit code. Relative paths are taken from the directory the command was called in. */
export async function runCommand(command: (args: string[], cwd: string) => Promise<void>, args: string[]): Promise<number> {
  try {
    await command(args, process.env.INIT_CWD ?? process.cwd());
    return 0;
  } catch (error) {
    const fault = toStudioError(error);
    console.error(fault.code === "internal" && fault.cause instanceof Error ? (fault.cause.stack ?? fault.message) : fault.message);
    return 1;
  }
}
