import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CIRCUIT_DOMAIN, CIRCUITS, PUBLIC_SIGNALS } from '@bitcloak/protocol/parameters';
import { compiledCircuit, ROOT } from '../support/circuit.ts';

type Ending = { readonly status: number; readonly stdout: string; readonly stderr: string };

function bench(...words: string[]): Promise<Ending> {
  const program = path.join(ROOT, 'scripts/bench/main.ts');
  return new Promise((done) => {
    execFile(process.execPath, [program, ...words], (error, stdout, stderr) => {
      done({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** Takes the words that rapidsnark's prover takes, and writes what it writes. */
const STAND_IN = `#!${process.execPath}
import { readFileSync, writeFileSync } from 'node:fs';
import { chooseEngine } from '${ROOT}/packages/prover/src/engines.ts';
import { snarkjsProof } from '${ROOT}/packages/prover/src/snarkjsEngine.ts';
const [key, witness, proof, signals] = process.argv.slice(2);
const loaded = await chooseEngine().load(new Uint8Array(readFileSync(key)));
const { pi_a, pi_b, pi_c } = snarkjsProof(await loaded.prove(new Uint8Array(readFileSync(witness)).slice(76)));
writeFileSync(proof, JSON.stringify({ pi_a, pi_b, pi_c, protocol: 'groth16' }) + '\\0');
writeFileSync(signals, '[]');
process.exit();
`;

describe('npm run bench', function () {
  this.timeout(180_000);

  it('prints one JSON object that names machine, commit and parameters', async () => {
    const { status, stdout } = await bench('circuits', '--json');
    assert.equal(status, 0);
    assert.equal(stdout.trim().split('\n').length, 1);
    const report = JSON.parse(stdout) as { name: string; commit: string; machine: Record<string, unknown> };
    assert.deepEqual(Object.keys(report), ['name', 'commit', 'machine', 'parameters', 'results']);
    assert.equal(report.name, 'circuits');
    assert.match(report.commit, /^([0-9a-f]{40}(\+changes)?|unknown)$/);
    const { machine } = report;
    assert.deepEqual(Object.keys(machine), ['cpu', 'cores', 'memory', 'node', 'platform']);
    assert.equal(machine['node'], process.version);
    assert.ok(Number(machine['cores']) >= 1 && Number(machine['memory']) > 2 ** 20);
  });

  it('tells the sizes of the compiled circuits', async () => {
    const { results } = JSON.parse((await bench('circuits', '--json')).stdout) as {
      results: { circuits: Record<string, unknown>[] };
    };
    assert.deepEqual(
      results.circuits,
      CIRCUITS.map((circuit) => {
        const { r1cs } = compiledCircuit(circuit);
        const constraints = Array.from({ length: r1cs.constraintCount }, (_, index) => r1cs.constraint(index));
        const publicSignals = PUBLIC_SIGNALS[circuit].length;
        return {
          circuit,
          constraints: r1cs.constraintCount,
          publicSignals,
          wires: r1cs.wireCount,
          termsA: constraints.reduce((sum, { a }) => sum + a.length, 0),
          termsB: constraints.reduce((sum, { b }) => sum + b.length, 0),
          domain: CIRCUIT_DOMAIN[circuit],
          headroom: CIRCUIT_DOMAIN[circuit] - r1cs.constraintCount - publicSignals - 1,
          domainMax: CIRCUIT_DOMAIN[circuit],
        };
      }),
    );
  });

  const smallest = [
    ['engine', '--operations', '2000', '--rounds', '1'],
    ['recover', '--commands', '200', '--rounds', '1'],
    ['attest', '--quotes', '2', '--rounds', '1'],
  ];
  for (const [name = '', ...words] of smallest) {
    it(`measures ${name}, and finds no number that is none`, async () => {
      const { status, stdout, stderr } = await bench(name, ...words, '--json');
      assert.equal(status, 0, stderr);
      const report = JSON.parse(stdout) as { name: string; results: unknown };
      assert.equal(report.name, name);
      // JSON has null for what is no number.
      const leaves = (value: unknown): unknown[] =>
        typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : [value];
      const found = leaves(report.results);
      assert.ok(!found.includes(null), stdout);
      assert.ok(found.filter((value) => typeof value === 'number' && value > 0).length >= 2, stdout);
    });
  }

  it('proves with rapidsnark’s program too, where it is told of one', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'bitcloak-bench-'));
    const program = path.join(directory, 'prover');
    writeFileSync(program, STAND_IN, { mode: 0o755 });
    try {
      const words = ['--circuits', 'clearing', '--engines', 'rapidsnark', '--rounds', '1', '--cold', '1'];
      const { stdout, stderr } = await bench('prove', ...words, '--rapidsnark', program, '--json');
      const { results } = JSON.parse(stdout || stderr) as {
        results: { provings: { engine: string; warm: { proof: { cpuMs: number } } }[] };
      };
      const [proving] = results.provings;
      assert.equal(proving?.engine, 'rapidsnark');
      assert.ok(proving.warm.proof.cpuMs > 100, 'what its process computed is counted');
    } finally {
      rmSync(directory, { recursive: true });
    }
    assert.equal((await bench('prove', '--engines', 'rapidsnark')).status, 2);
  });

  it('lists the benchmarks and refuses what is none', async () => {
    const help = await bench('--help');
    assert.equal(help.status, 0);
    for (const name of [
      'attest',
      'channel',
      'circuits',
      'engine',
      'gas',
      'orders',
      'prove',
      'recover',
      'scan',
      'settle',
      'tree',
    ])
      assert.match(help.stdout, new RegExp(`^${name} `, 'm'));
    for (const words of [['circles'], ['__proto__'], ['circuits', '--rounds', '3'], ['tree', '--leaves', '0']]) {
      const { status, stdout, stderr } = await bench(...words);
      assert.equal(status, 2, words.join(' '));
      assert.equal(stdout, '');
      assert.match(stderr, /^npm run bench -- NAME/m);
    }
  });
});
