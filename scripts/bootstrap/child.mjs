import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import process from 'node:process';
import { SetupInterrupted } from './report.mjs';

/** @type {NodeJS.Signals[]} */
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * @typedef {object} Ending
 * @property {number} status            exit code, or 128 + n for a death by signal n
 * @property {number} [interruption]    128 + n where signal n reached this process meanwhile
 */

/**
 * @typedef {object} ToolOptions
 * @property {string} cwd
 * @property {NodeJS.ProcessEnv} env
 * @property {(pid: number) => void} [onStart]
 */

/**
 * Runs a child to its end and passes on the signals that reach this process meanwhile.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 * @param {(pid: number) => void} [onStart]
 * @param {(chunk: string) => void} [onOutput]  receives stdout and stderr where they are piped
 * @returns {Promise<Ending>}
 */
export function run(command, args, options, onStart = () => {}, onOutput = () => {}) {
  return new Promise((resolve, reject) => {
    /** @type {Ending} */
    const ending = { status: 0 };
    const child = spawn(command, args, options);

    /** @param {NodeJS.Signals} signal */
    const forward = (signal) => {
      ending.interruption = statusOf(signal);
      // A terminal sends Ctrl-C to the whole process group: the child has it already, and a second one would mean "at once".
      if (signal === 'SIGINT' && process.stdin.isTTY) return;
      child.kill(signal);
    };
    const stopForwarding = () => {
      for (const signal of FORWARDED_SIGNALS) process.removeListener(signal, forward);
    };
    for (const signal of FORWARDED_SIGNALS) process.on(signal, forward);
    if (child.pid !== undefined) onStart(child.pid);

    child.stdout?.setEncoding('utf8').on('data', onOutput);
    child.stderr?.setEncoding('utf8').on('data', onOutput);
    child.once('error', (error) => {
      stopForwarding();
      reject(error);
    });
    child.once('close', (code, signal) => {
      stopForwarding();
      resolve({ ...ending, status: code ?? (signal === null ? 1 : statusOf(signal)) });
    });
  });
}

/**
 * The exit status that shells give for a death by signal.
 * @param {NodeJS.Signals} signal
 */
function statusOf(signal) {
  return 128 + constants.signals[signal];
}

/**
 * Runs a tool of the set-up: its output goes to stderr, it gets no input, and an interruption ends the whole set-up.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {ToolOptions} options
 * @returns {Promise<number>} its exit status
 */
export async function runTool(command, args, { onStart, ...options }) {
  const ending = await run(command, args, { ...options, stdio: ['ignore', 2, 2] }, onStart);
  if (ending.interruption !== undefined) throw new SetupInterrupted(ending.interruption);
  return ending.status;
}

/**
 * Like runTool, but keeps the output instead of showing it.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {ToolOptions} options
 * @returns {Promise<{ status: number, output: string }>}
 */
export async function captureTool(command, args, { onStart, ...options }) {
  let output = '';
  const ending = await run(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] }, onStart, (chunk) => {
    output += chunk;
  });
  if (ending.interruption !== undefined) throw new SetupInterrupted(ending.interruption);
  return { status: ending.status, output };
}
