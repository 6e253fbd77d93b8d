import { toStudioError } from "../core/errors";

/** Runs a command; returns the exit code, 0 where the command names none. Relative paths are taken from the directory the command was called in. */
export async function runCommand(command: (args: string[], cwd: string) => Promise<number | void>, args: string[]): Promise<number> {
  try {
    return (await command(args, process.env.INIT_CWD ?? process.cwd())) ?? 0;
  } catch (error) {
    const fault = toStudioError(error);
    console.error(fault.code === "internal" && fault.cause instanceof Error ? (fault.cause.stack ?? fault.message) : fault.message);
    return 1;
  }
}
