import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findAddon } from '@bitcloak/prover/addon';
import { CircomWitness } from '@bitcloak/prover/witness';
import { makeStatements } from '../../scripts/bench/statements.ts';
import { FLAGS, units } from '../../scripts/bootstrap/prover.mjs';
import { COMPILER } from '../support/compiler.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const MACHINE = join(ROOT, 'test/native/machine');
const SECTOR = 512;
const MEGABYTE = 2 ** 20;
/** As much as the first sector copies. */
const LOADED_BYTES = 8 * MEGABYTE;
/** Bits of XCR0: with the registers of 512 bits, and with those of 256 bits at most. */
const ALL_REGISTERS = 0xe7n;
const REGISTERS_OF_AVX2 = 0x07n;

const HAS_EMULATOR = (() => {
  try {
    execFileSync('bochs-bin', ['--help'], { stdio: 'ignore' });
    return process.arch === 'x64' && COMPILER !== undefined;
  } catch {
    return false;
  }
})();

/** A machine that Debian's bochs and bochs-term emulate, with the prover as the bootstrap compiles it on its disk. */
describe('the prover on a processor with AVX-512 IFMA, which Bochs emulates', function () {
  this.timeout(3_600_000);
  let directory: string;
  let disk: Buffer;

  before(function () {
    if (!HAS_EMULATOR) this.skip();
    directory = mkdtempSync(join(tmpdir(), 'bitcloak-machine-'));
    disk = compile(directory);
  });

  after(() => {
    if (HAS_EMULATOR) rmSync(directory, { recursive: true });
  });

  const run = (processor: string, request: Uint8Array): string => runMachine(directory, disk, processor, request);

  it('makes the same proof as the portable backend, byte by byte', async function () {
    const addon = findAddon();
    if (addon === undefined) this.skip();
    const circuits = resolve(ROOT, 'circuits');
    const key = new Uint8Array(readFileSync(join(circuits, 'keys/clearing.zkey')));
    const generator = new CircomWitness(
      new WebAssembly.Module(readFileSync(join(circuits, 'build/clearing/clearing.wasm'))),
    );
    const witness = generator.compute(makeStatements('machine').clearing);
    const blinding = new Uint8Array(64).fill(9).fill(1, 31, 32).fill(2, 63);
    const wanted = await addon.prove(await addon.loadKey('portable', key), witness, 1, blinding);
    const output = run('corei7_icelake_u', requestOf(ALL_REGISTERS, { key, witness, blinding }));
    assert.match(output, /^backends: ifma avx2 portable$/m);
    assert.equal(/^proof: ([0-9a-f]+)$/m.exec(output)?.[1], Buffer.from(wanted).toString('hex'));
  });

  it('takes AVX2 where the system would not keep the registers, or the processor has none of the instructions', () => {
    assert.match(run('corei7_icelake_u', requestOf(REGISTERS_OF_AVX2)), /^backends: avx2 portable$/m);
    assert.match(run('corei7_skylake_x', requestOf(ALL_REGISTERS)), /^backends: avx2 portable$/m);
  });
});

/** The disk without a request. */
function compile(directory: string): Buffer {
  const native = units().filter(({ name }) => name !== 'addon');
  const sources = [
    ...native.map(({ name, flags }) => ({ source: `packages/prover/native/${name}.cpp`, flags })),
    { source: join(MACHINE, 'kernel.cpp'), flags: ['-ffreestanding', '-fno-stack-protector', '-fno-builtin'] },
    { source: join(MACHINE, 'boot.S'), flags: [] },
  ];
  const call = (words: readonly string[], program = COMPILER ?? '') => {
    execFileSync(program, words, { cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe'] });
  };
  const objects = sources.map(({ source, flags }, index) => {
    const object = join(directory, `${index}.o`);
    call([...(source.endsWith('.S') ? [] : FLAGS), ...flags, '-c', source, '-o', object]);
    return object;
  });
  const file = join(directory, 'machine');
  const link = ['-nostdlib', '-static', '-no-pie', '-Wl,--build-id=none', `-Wl,-T,${join(MACHINE, 'kernel.ld')}`];
  call([...link, ...objects, '-lgcc', '-o', `${file}.elf`]);
  call(['-O', 'binary', `${file}.elf`, file], 'objcopy');
  return readFileSync(file);
}

/** See kernel.cpp; only the backends are asked for where there is nothing to be proven. */
function requestOf(
  xcr0: bigint,
  { key, witness, blinding }: { key: Uint8Array; witness: Uint8Array; blinding: Uint8Array } = {
    key: new Uint8Array(),
    witness: new Uint8Array(),
    blinding: new Uint8Array(64),
  },
): Uint8Array {
  const numbers = new BigUint64Array([xcr0, BigInt(key.length), BigInt(witness.length)]);
  return Buffer.concat([new Uint8Array(numbers.buffer), blinding, key, witness]);
}

/** What the machine says before it ends. */
function runMachine(directory: string, disk: Buffer, processor: string, request: Uint8Array): string {
  assert(disk.length <= SECTOR + MEGABYTE && MEGABYTE + request.length <= LOADED_BYTES);
  const cylinders = 20;
  const image = Buffer.alloc(cylinders * 16 * 63 * SECTOR);
  disk.copy(image);
  image.set(request, SECTOR + MEGABYTE);
  const run = mkdtempSync(join(directory, 'run-'));
  writeFileSync(join(run, 'disk'), image);
  const settings = [
    'megs: 1024',
    `cpu: model=${processor}, ips=50000000`,
    'romimage: file=$BXSHARE/BIOS-bochs-latest',
    'vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest',
    `ata0-master: type=disk, mode=flat, path=disk, cylinders=${cylinders}, heads=16, spt=63`,
    'boot: disk',
    'display_library: term',
    'config_interface: textconfig',
    'port_e9_hack: enabled=1',
    'panic: action=fatal',
    'log: log',
  ];
  writeFileSync(join(run, 'settings'), settings.join('\n'));
  // Debian's has a debugger, which waits for a word; its screen wants a terminal.
  writeFileSync(join(run, 'commands'), 'c\n');
  const command = 'bochs-bin -q -f settings -rc commands';
  const output = execFileSync('script', ['-qfc', command, 'output'], {
    cwd: run,
    env: { BXSHARE: '/usr/share/bochs', TERM: 'xterm', ...process.env },
    stdio: ['ignore', 'pipe', 'ignore'],
    encoding: 'utf8',
  });
  return output.replaceAll('\r', '');
}
