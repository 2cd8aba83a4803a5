import { readFileSync } from 'node:fs';
import path from 'node:path';
import { SetupError } from './report.mjs';

/**
 * The programs that packages bring. They are started as scripts of the chosen Node: the shims in node_modules/.bin differ by platform.
 * @type {Readonly<Record<string, string>>}
 */
const PACKAGE_OF_TOOL = {
  eslint: 'eslint',
  hardhat: 'hardhat',
  mocha: 'mocha',
  prettier: 'prettier',
  snarkjs: 'snarkjs',
  tsc: 'typescript',
};

/**
 * The script of a tool that a package brings.
 * @param {string} root
 * @param {string} tool
 */
export function findTool(root, tool) {
  const packageName = Object.hasOwn(PACKAGE_OF_TOOL, tool) ? PACKAGE_OF_TOOL[tool] : undefined;
  if (packageName === undefined) {
    const known = Object.keys(PACKAGE_OF_TOOL).join(', ');
    throw new SetupError(
      `there is no program "${tool}": name a .ts, .mjs or .js file of the repository, or one of ${known}`,
    );
  }
  const directory = path.join(root, 'node_modules', packageName);
  /** @type {{ bin: string | Record<string, string> }} */
  const manifest = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
  const script = typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[tool];
  if (script === undefined) throw new SetupError(`the package ${packageName} no longer brings a program "${tool}"`);
  return path.join(directory, script);
}
