// Starts any program of the repository from a bare checkout: brings a Node that is new enough, the packages, the compiled circuits, contracts
// and, with the circuits, the native prover where a compiler is, each only where it is missing or outdated, and then hands over. Runs on Node 18 and has no dependency.
//
//   node scripts/bootstrap.mjs [NAME=value …] [--without-circuits] [--without-contracts] [program [argument …]]
//
// A program is a .ts, .mjs or .js file of the repository or a tool of its packages; without one this only sets up.
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { run } from './bootstrap/child.mjs';
import { compileContracts, contractsAreCurrent } from './bootstrap/contracts.mjs';
import { withLock } from './bootstrap/lock.mjs';
import { bringNode, environmentWithNode, findNode } from './bootstrap/node.mjs';
import { installPackages, packagesAreCurrent } from './bootstrap/packages.mjs';
import { compileProver, proverIsCurrent } from './bootstrap/prover.mjs';
import { SetupError, SetupInterrupted, say } from './bootstrap/report.mjs';
import { findTool } from './bootstrap/tools.mjs';
import { circuitsAreCurrent, comparePins, compileCircuits, updatePins } from './compileCircuits.mjs';

/**
 * @typedef {object} Context
 * @property {string} root
 * @property {import('./bootstrap/node.mjs').NodeProgram} node
 * @property {NodeJS.ProcessEnv} environment
 * @property {(pid: number) => void} onStart  is told of every tool that set-up starts
 */

/**
 * @typedef {object} Command
 * @property {Record<string, string>} variables
 * @property {boolean} withCircuits
 * @property {boolean} withContracts
 * @property {string | undefined} program
 * @property {string[]} programArguments
 */

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const LOCK_FILE = path.join(ROOT, '.cache', 'bootstrap.lock');

/**
 * @param {readonly string[]} words
 * @returns {Command}
 */
function parseCommand(words) {
  /** @type {Command} */
  const command = { variables: {}, withCircuits: true, withContracts: true, program: undefined, programArguments: [] };
  for (const [index, word] of words.entries()) {
    const variable = /^([A-Z][A-Z0-9_]*)=(.*)$/s.exec(word);
    if (variable) command.variables[variable[1] ?? ''] = variable[2] ?? '';
    else if (word === '--without-circuits') command.withCircuits = false;
    else if (word === '--without-contracts') command.withContracts = false;
    else if (word.startsWith('-'))
      throw new SetupError(`unknown option ${word}: see the head of scripts/bootstrap.mjs`);
    else return { ...command, program: word, programArguments: words.slice(index + 1) };
  }
  return command;
}

/**
 * Brings everything that the program needs up to date. Where nothing is to be done, nothing is locked or said.
 * @param {Command} command
 * @param {NodeJS.ProcessEnv} environment
 * @returns {Promise<Context>}
 */
async function setUp(command, environment) {
  const presentNode = findNode(ROOT);
  if (presentNode !== undefined) {
    const context = contextWith(presentNode, environment);
    if (isCurrent(command, context)) return context;
  }
  const tellWaiting = (/** @type {number} */ pid) => say(`waiting for the set-up that process ${pid} is at`);
  return withLock(LOCK_FILE, tellWaiting, async (addHolder) => {
    const node = findNode(ROOT) ?? (await bringNode(ROOT, addHolder));
    const context = { ...contextWith(node, environment), onStart: addHolder };
    if (!packagesAreCurrent(context)) await installPackages(context);
    if (command.withCircuits && !circuitsAreCurrent(ROOT)) await compileCircuits(context);
    // Before the contracts, which hold the keys of the pinned circuits.
    if (command.withCircuits) checkPins(environment);
    if (command.withCircuits && !proverIsCurrent(context)) await compileProver(context);
    if (command.withContracts && !contractsAreCurrent(context)) await compileContracts(context);
    return context;
  });
}

/**
 * @param {Command} command
 * @param {Context} context
 */
function isCurrent(command, context) {
  if (!packagesAreCurrent(context)) return false;
  if (command.withCircuits && !circuitsAreCurrent(ROOT)) return false;
  if (command.withCircuits) checkPins(context.environment);
  if (command.withCircuits && !proverIsCurrent(context)) return false;
  return !command.withContracts || contractsAreCurrent(context);
}

/** @param {NodeJS.ProcessEnv} environment */
function checkPins(environment) {
  if (environment['BITCLOAK_UPDATE_PINS'] === '1') {
    updatePins(ROOT).forEach(say);
    return;
  }
  const differences = comparePins(ROOT);
  if (differences.length === 0) return;
  differences.forEach(say);
  throw new SetupError(
    'the keys fit the pinned circuits only: undo the change, or run "npm run pins" and then "npm run keys -- --replace"',
  );
}

/**
 * @param {import('./bootstrap/node.mjs').NodeProgram} node
 * @param {NodeJS.ProcessEnv} environment
 * @returns {Context}
 */
function contextWith(node, environment) {
  return { root: ROOT, node, environment: environmentWithNode(environment, node), onStart: () => {} };
}

/**
 * @param {string} program
 */
function scriptOf(program) {
  if (!/\.(ts|mjs|js)$/.test(program)) return findTool(ROOT, program);
  const file = path.resolve(ROOT, program);
  if (!existsSync(file)) throw new SetupError(`there is no program ${program}`);
  return file;
}

async function main() {
  const command = parseCommand(process.argv.slice(2));
  const environment = {
    ...process.env,
    ...command.variables,
    // A command of the wallet compiles for a quarter of its time.
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? path.join(ROOT, '.cache', 'compile'),
    // Programs run at the root; this is how npm tells them where the user is, and it holds without npm too.
    INIT_CWD: process.env['INIT_CWD'] ?? process.cwd(),
  };
  const context = await setUp(command, environment);
  if (command.program === undefined) return 0;
  const ending = await run(context.node.file, [scriptOf(command.program), ...command.programArguments], {
    cwd: ROOT,
    env: context.environment,
    stdio: 'inherit',
  });
  return ending.status;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof SetupInterrupted) {
    process.exitCode = error.status;
  } else if (error instanceof SetupError) {
    say(error.message);
    process.exitCode = 1;
  } else {
    throw error;
  }
}
