import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { build, type Plugin } from 'esbuild';
import { sha256 } from '../bootstrap/hash.mjs';

/** The programs of a bundle, by their names there. */
const PROGRAMS = {
  server: 'enclave/server.ts',
  proverChild: 'packages/prover/src/proverChild.ts',
  wasmWorker: 'packages/prover/src/wasmWorker.ts',
};
/** What an enclave proves. */
const CIRCUITS = ['fill', 'clearing'];
const THREADS = 'webWorker.cjs';
export const SUMS = 'SHA256SUMS';

/** Packages in CommonJS ask for parts of Node by `require`, which modules have not. */
const HEAD = `import { createRequire as requireFrom } from 'node:module';\nconst require = requireFrom(import.meta.url);`;

export type Bundle = {
  /** SHA-256 of SHA256SUMS, in hex. It stands for every byte of the bundle. */
  readonly digest: string;
  readonly files: number;
  readonly bytes: number;
  /** The sources that its programs are made of, from the root of the checkout. */
  readonly inputs: readonly string[];
};

/**
 * Writes the enclave's bundle: what Node runs without any package, and the circuits' files that the prover reads. Its bytes, names and modes follow from the
 * files of the repository and of the packages in the lock file alone. Throws `KEY_MISMATCH` for a key or a circuit that is not the pinned one, and `USAGE` for
 * an output with other things in it.
 *
 * @param checkout with its packages installed and its circuits compiled.
 * @param output is made anew.
 */
export async function bundleEnclave(checkout: string, output: string): Promise<Bundle> {
  // Paths from the root are written into comments: a link in the root's own path would lengthen them.
  const root = realpathSync(checkout);
  const { files, inputs } = await programs(root);
  const copy = (name: string, from = name) => files.set(name, readFileSync(join(root, from)));
  copy(THREADS, 'node_modules/web-worker/cjs/node.js');
  for (const circuit of CIRCUITS) {
    copy(`circuits/pins/${circuit}.json`);
    copy(`circuits/keys/${circuit}.vkey.json`);
    copy(`circuits/keys/${circuit}.zkey`);
    for (const kind of ['wasm', 'program']) copy(`circuits/build/${circuit}/${circuit}.${kind}`);
    checkPins(circuit, files);
  }
  for (const module of ['relaxed.wasm', 'plain.wasm']) copy(module, `packages/prover/wasm/${module}`);
  copy('LICENSE');
  copy('NOTICE');
  const names = [...files.keys()].sort();
  const sums = names.map((name) => `${sha256(bufferOf(files, name))}  ${name}\n`).join('');
  files.set(SUMS, Buffer.from(sums));
  write(output, files);
  const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  return { digest: sha256(sums), files: files.size, bytes, inputs };
}

type Programs = { readonly files: Map<string, Uint8Array>; readonly inputs: string[] };

async function programs(root: string): Promise<Programs> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: PROGRAMS,
    outdir: root,
    outExtension: { '.js': '.mjs' },
    write: false,
    metafile: true,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // Readable, so that an auditor can compare it with the sources; and snarkjs starts threads from the text of a function.
    minify: false,
    charset: 'utf8',
    banner: { js: HEAD },
    // Native helpers of `ws`, which does without them: a machine may happen to have some.
    external: ['bufferutil', 'utf-8-validate'],
    // Neither the environment nor files outside the checkout have a say.
    nodePaths: [],
    tsconfigRaw: '{}',
    plugins: [placesOfBundle(root), threadsApart],
    logLevel: 'error',
  });
  const files = new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]));
  return { files, inputs: Object.keys(metafile.inputs).sort() };
}

/** The programs find their files beside them, and not where they lie in the repository. */
function placesOfBundle(root: string): Plugin {
  const replaced = join(root, 'packages/prover/src/places.ts');
  const path = join(root, 'scripts/bundle/places.ts');
  return {
    name: 'places',
    setup: (bundler) => {
      bundler.onResolve({ filter: /\/places\.ts$/ }, ({ resolveDir, path: asked }) => {
        return join(resolveDir, asked) === replaced ? { path } : undefined;
      });
    },
  };
}

/** The package starts its own file as a thread. Within a program that would be the program, once more. */
const threadsApart: Plugin = {
  name: 'threads',
  setup: (bundler) => {
    bundler.onResolve({ filter: /^web-worker$/ }, () => ({ path: `./${THREADS}`, external: true }));
  },
};

/** Enclaves refuse such files when they first prove, which is late. */
function checkPins(circuit: string, files: ReadonlyMap<string, Uint8Array>): void {
  const pin = JSON.parse(bufferOf(files, `circuits/pins/${circuit}.json`).toString()) as Record<string, unknown>;
  const pinned = {
    zkeySha256: `circuits/keys/${circuit}.zkey`,
    wasmSha256: `circuits/build/${circuit}/${circuit}.wasm`,
    programSha256: `circuits/build/${circuit}/${circuit}.program`,
  };
  for (const [field, name] of Object.entries(pinned)) {
    const actual = sha256(bufferOf(files, name));
    if (actual === pin[field]) continue;
    throw new BitcloakError('KEY_MISMATCH', `${name}: SHA-256 is ${actual}, pinned ${String(pin[field])}`);
  }
}

function bufferOf(files: ReadonlyMap<string, Uint8Array>, name: string): Buffer {
  return Buffer.from(files.get(name) ?? []);
}

/** Modes are set, whatever the umask is: images keep them. */
function write(output: string, files: ReadonlyMap<string, Uint8Array>): void {
  if (existsSync(output) && readdirSync(output).length > 0 && !existsSync(join(output, SUMS))) {
    throw new BitcloakError('USAGE', `${output}: expected an empty directory, or an older bundle`);
  }
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  for (const [name, bytes] of files) {
    mkdirSync(dirname(join(output, name)), { recursive: true });
    writeFileSync(join(output, name), bytes);
  }
  for (const entry of ['', ...readdirSync(output, { recursive: true, encoding: 'utf8' })]) {
    chmodSync(join(output, entry), files.has(entry.split(sep).join('/')) ? 0o644 : 0o755);
  }
}
