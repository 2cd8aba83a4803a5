// Run as a process of its own: snarkjs keeps threads and a global curve. Compiles a circuit of the same arity for each real one,
// makes keys with a phase 1 of its own, proves statements and prints everything as JSON. Nothing here is secret or fit for value.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { CIRCUITS, FIELD_MODULUS, PUBLIC_SIGNALS, type Circuit } from '@bitcloak/protocol/parameters';
import type { VerifyingKey } from '@bitcloak/prover/verifyingKey';
import * as snarkjs from 'snarkjs';

export type TinyClaim = { circuit: Circuit; proof: string[]; signals: string[] };
export type TinyCircuits = {
  keys: Record<Circuit, VerifyingKey>;
  /** The keys before any contribution to phase 2. */
  skippedPhase2: Record<Circuit, VerifyingKey>;
  /** True statements with their proofs. */
  claims: TinyClaim[];
};

const PHASE1_POWER = 5;
const BEACON_ITERATIONS_LOG2 = 10;
const CLAIMS: Record<Circuit, number> = { transfer: 3, insertion: 2, fill: 2, clearing: 1 };

const digest = (text: string) => createHash('sha256').update(text).digest('hex');
const compiler = fileURLToPath(import.meta.resolve('circom2/cli.js'));

// secret^2 = sum of (i + 1) values[i]
const source = (values: number) => `pragma circom 2.2.0;
template WeightedSum(n) {
    signal input values[n];
    signal input secret;
    var total = 0;
    for (var i = 0; i < n; i++) {
        total += (i + 1) * values[i];
    }
    secret * secret === total;
}
component main { public [values] } = WeightedSum(${values});
`;

/** Values that fulfil the circuit. The first insertion is into the first bucket of a tree, whose index is 0. */
function inputs(circuit: Circuit, claim: number): { values: string[]; secret: string } {
  const secret = BigInt(`0x${digest(`${circuit} ${claim} secret`)}`) % FIELD_MODULUS;
  const values = PUBLIC_SIGNALS[circuit].map((name) => {
    const isEmpty = claim === 0 && name === 'bucketIndex';
    return isEmpty ? 0n : BigInt(`0x${digest(`${circuit} ${claim} ${name}`)}`) % FIELD_MODULUS;
  });
  const others = values.slice(1).reduce((total, value, index) => total + BigInt(index + 2) * value, 0n);
  values[0] = (((secret * secret - others) % FIELD_MODULUS) + FIELD_MODULUS) % FIELD_MODULUS;
  return { values: values.map(String), secret: String(secret) };
}

/** A proof's words in the order of the pairing precompile. */
function words({ pi_a: a, pi_b: b, pi_c: c }: snarkjs.Groth16Proof): string[] {
  return [a[0], a[1], b[0][1], b[0][0], b[1][1], b[1][0], c[0], c[1]];
}

async function run(directory: string): Promise<TinyCircuits> {
  const path = (name: string) => join(directory, name);
  const curve = await snarkjs.curves.getCurveFromName('bn128');
  await snarkjs.powersOfTau.newAccumulator(curve, PHASE1_POWER, path('new.ptau'));
  await snarkjs.powersOfTau.beacon(
    path('new.ptau'),
    path('beacon.ptau'),
    'test',
    digest('phase 1'),
    BEACON_ITERATIONS_LOG2,
  );
  await snarkjs.powersOfTau.preparePhase2(path('beacon.ptau'), path('final.ptau'));

  const keys: Partial<Record<Circuit, VerifyingKey>> = {};
  const skippedPhase2: Partial<Record<Circuit, VerifyingKey>> = {};
  const claims: TinyClaim[] = [];
  for (const circuit of CIRCUITS) {
    writeFileSync(path(`${circuit}.circom`), source(PUBLIC_SIGNALS[circuit].length));
    execFileSync(process.execPath, [compiler, `${circuit}.circom`, '--r1cs', '--wasm'], { cwd: directory });
    const [initial, final] = [path(`${circuit}.initial.zkey`), path(`${circuit}.zkey`)];
    await snarkjs.zKey.newZKey(path(`${circuit}.r1cs`), path('final.ptau'), initial);
    await snarkjs.zKey.beacon(initial, final, 'test', digest(`phase 2 ${circuit}`), BEACON_ITERATIONS_LOG2);
    skippedPhase2[circuit] = await snarkjs.zKey.exportVerificationKey(initial);
    keys[circuit] = await snarkjs.zKey.exportVerificationKey(final);
    for (let claim = 0; claim < CLAIMS[circuit]; claim++) {
      const wasm = path(`${circuit}_js/${circuit}.wasm`);
      const { proof, publicSignals } = await snarkjs.groth16.fullProve(inputs(circuit, claim), wasm, final);
      claims.push({ circuit, proof: words(proof), signals: publicSignals });
    }
  }
  await curve.terminate();
  return { keys, skippedPhase2, claims } as TinyCircuits;
}

let made: TinyCircuits | undefined;

/** The circuits, keys and proofs, made once in a child process. */
export function tinyCircuits(): TinyCircuits {
  made ??= JSON.parse(
    execFileSync(process.execPath, [import.meta.filename], { encoding: 'utf8', maxBuffer: 2 ** 24 }),
  ) as TinyCircuits;
  return structuredClone(made);
}

/** Writes verifying keys as `circuits/keys` holds them, into a new directory that is the caller's to remove. */
export function writeKeys(keys: Readonly<Record<string, VerifyingKey>>, ceremony?: unknown): string {
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-keys-'));
  for (const [circuit, key] of Object.entries(keys))
    writeFileSync(join(directory, `${circuit}.vkey.json`), JSON.stringify(key));
  if (ceremony !== undefined) writeFileSync(join(directory, 'ceremony.json'), JSON.stringify(ceremony));
  return directory;
}

if (import.meta.main) {
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-tiny-'));
  try {
    stdout.write(JSON.stringify(await run(directory)));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
