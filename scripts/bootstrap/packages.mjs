import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { captureTool, runTool } from './child.mjs';
import { hashFile, readIfPresent, writeWhole } from './hash.mjs';
import { environmentForNpm, findNpm } from './node.mjs';
import { SetupError, say } from './report.mjs';

/** @typedef {import('../bootstrap.mjs').Context} Context */

/**
 * The packages are what the lock file says, were installed by this Node for this platform, and nobody changed them since: npm under an
 * older Node leaves out the native EVM without a word, and would show only in npm's own record of what is there.
 * @param {Context} context
 */
export function packagesAreCurrent(context) {
  return readIfPresent(stampFile(context))?.toString('utf8') === stampOf(context);
}

/**
 * Installs what the lock file says. Only under the lock.
 * @param {Context} context
 */
export async function installPackages(context) {
  if (hashFile(path.join(context.root, 'package-lock.json')) === undefined) {
    throw new SetupError('package-lock.json is missing: get the whole repository, then run this again');
  }
  if (!existsSync(path.join(context.root, 'node_modules'))) {
    say('the first time: some 220 MB are downloaded, then much is compiled; that takes minutes, and 800 MB of disk');
  }
  say(`installing the packages of package-lock.json with Node ${context.node.version}`);
  rmSync(stampFile(context), { force: true });
  const status = await runTool(
    context.node.file,
    [findNpm(), 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: context.root, env: environmentForNpm(context.environment), onStart: context.onStart },
  );
  if (status !== 0) throw new SetupError(`npm ci failed with status ${status}: look above, then run this again`);
  await checkNativeEvm(context);
  writeWhole(stampFile(context), stampOf(context));
}

/**
 * Hardhat itself would say this only in the middle of a program, as HHE27.
 * @param {Context} context
 */
async function checkNativeEvm(context) {
  const { status, output } = await captureTool(
    context.node.file,
    ['--input-type=module', '--eval', "await import('@nomicfoundation/edr')"],
    { cwd: context.root, env: context.environment },
  );
  if (status === 0) return;
  const reason = output.split('\n').find((line) => /^\S*Error\b/.test(line)) ?? output.trim();
  throw new SetupError(
    `Hardhat's native EVM (@nomicfoundation/edr) cannot be loaded by Node ${context.node.version} on ${process.platform}-${process.arch}: ` +
      `${reason.trim()}. It exists for Linux, macOS and Windows on x64, and for Linux and macOS on arm64; ` +
      'on one of these remove node_modules and run this again',
  );
}

/** @param {Context} context */
function stampFile(context) {
  return path.join(context.root, 'node_modules', '.bitcloak-installed.json');
}

/** @param {Context} context */
function stampOf(context) {
  return JSON.stringify({
    lock: hashFile(path.join(context.root, 'package-lock.json')),
    installed: hashFile(path.join(context.root, 'node_modules', '.package-lock.json')),
    node: context.node.version,
    platform: process.platform,
    arch: process.arch,
  });
}
