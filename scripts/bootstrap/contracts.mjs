import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { runTool } from './child.mjs';
import { hashFile, hashFiles, listFiles, readIfPresent, sha256, writeWhole } from './hash.mjs';
import { SetupError, say } from './report.mjs';
import { findTool } from './tools.mjs';

/** @typedef {import('../bootstrap.mjs').Context} Context */

/** @param {Context} context */
export function contractsAreCurrent(context) {
  const stamp = stampOf(context);
  return stamp === undefined || readIfPresent(stampFile(context))?.toString('utf8') === stamp;
}

/**
 * Compiles the contracts. Only under the lock.
 * @param {Context} context
 */
export async function compileContracts(context) {
  const stamp = stampOf(context);
  if (stamp === undefined) return;
  if (!existsSync(path.join(context.root, 'hardhat.config.ts'))) {
    throw new SetupError('there are contracts but no hardhat.config.ts: restore it, then run this again');
  }
  say('compiling the contracts');
  rmSync(stampFile(context), { force: true });
  const status = await runTool(context.node.file, [findTool(context.root, 'hardhat'), 'build'], {
    cwd: context.root,
    env: context.environment,
    onStart: context.onStart,
  });
  if (status !== 0) throw new SetupError(`hardhat build failed with status ${status}: look above, then run this again`);
  writeWhole(stampFile(context), stamp);
}

/**
 * The stamp lies among the artifacts, so that removing these removes it.
 * @param {Context} context
 */
function stampFile(context) {
  return path.join(context.root, 'artifacts', 'bitcloak-compiled.txt');
}

/**
 * What the artifacts depend on; undefined where there is no contract.
 * @param {Context} context
 */
function stampOf(context) {
  const sources = listFiles(path.join(context.root, 'contracts'), '.sol');
  if (sources.length === 0) return undefined;
  return sha256(
    JSON.stringify({
      sources: hashFiles(context.root, [...sources, path.join(context.root, 'hardhat.config.ts')]),
      packages: hashFile(path.join(context.root, 'package-lock.json')),
    }),
  );
}
