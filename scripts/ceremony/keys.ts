import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CIRCUITS, PUBLIC_SIGNALS, type Circuit } from '@bitcloak/protocol/parameters';
import { checkVerifyingKey, type VerifyingKey } from '@bitcloak/prover/verifyingKey';
import * as snarkjs from 'snarkjs';
import { fileDigest, identifyPhase1, type Phase1 } from './phase1File.ts';
import { logger, terminateCurve } from './snarkjs.ts';

const USAGE = `npm run keys -- [--phase1 FILE] [--replace] [--check] [CIRCUIT…]

Makes the proving and verifying keys of the circuits from a phase 1 file and the recorded beacon, and pins their hashes. The same circuits,
phase 1 and beacon give the same bytes. A key that is there is never replaced unless --replace says so.
  --check   changes nothing: makes the keys again beside the pinned ones, compares the bytes, and lets snarkjs verify each key
            against the circuit and the phase 1.
  --phase1  .cache/ptau/dev15.ptau unless given (see npm run phase1).`;

const PHASE2_BEACON_TEXT = 'bitcloak development phase 2: public beacon, no secret, never for value';
const BEACON_ITERATIONS_LOG2 = 10;

/** A beacon of its own for each circuit: snarkjs derives delta from it alone, and circuits under one delta lend each other's wires to a forger. */
const beaconOf = (circuit: Circuit) => createHash('sha256').update(`${PHASE2_BEACON_TEXT}: ${circuit}`).digest('hex');

const keysDirectory = resolve(import.meta.dirname, '../../circuits/keys');
const scratchDirectory = resolve(import.meta.dirname, '../../.cache/keys');
const pathOf = {
  r1cs: (circuit: Circuit) => resolve(keysDirectory, `../build/${circuit}/${circuit}.r1cs`),
  zkey: (circuit: Circuit) => resolve(keysDirectory, `${circuit}.zkey`),
  verifyingKey: (circuit: Circuit) => resolve(keysDirectory, `${circuit}.vkey.json`),
  pin: (circuit: Circuit) => resolve(keysDirectory, `../pins/${circuit}.json`),
};

/** Makes one circuit's proving key in the scratch directory; returns its path. */
async function makeKey(circuit: Circuit, phase1: string): Promise<string> {
  mkdirSync(scratchDirectory, { recursive: true });
  const initial = resolve(scratchDirectory, `${circuit}.initial.zkey`);
  const final = resolve(scratchDirectory, `${circuit}.zkey`);
  await snarkjs.zKey.newZKey(pathOf.r1cs(circuit), phase1, initial, logger);
  await snarkjs.zKey.beacon(initial, final, 'development beacon', beaconOf(circuit), BEACON_ITERATIONS_LOG2, logger);
  return final;
}

async function exportVerifyingKey(circuit: Circuit, zkey: string, { alpha }: Phase1): Promise<VerifyingKey> {
  const exported = (await snarkjs.zKey.exportVerificationKey(zkey, logger)) as VerifyingKey;
  checkVerifyingKey(exported, { signals: PUBLIC_SIGNALS[circuit].length, alpha });
  return exported;
}

function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

async function replaceKey(circuit: Circuit, phase1File: string, phase1: Phase1): Promise<void> {
  const zkey = await makeKey(circuit, phase1File);
  const verifyingKey = await exportVerifyingKey(circuit, zkey, phase1);
  writeJson(pathOf.verifyingKey(circuit), verifyingKey);
  writeJson(pathOf.pin(circuit), { ...readJson(pathOf.pin(circuit)), zkeySha256: await fileDigest(zkey, 'sha256') });
  renameSync(zkey, pathOf.zkey(circuit));
}

async function checkKey(circuit: Circuit, phase1: string): Promise<boolean> {
  const pinned = readJson(pathOf.pin(circuit))['zkeySha256'];
  const present = await fileDigest(pathOf.zkey(circuit), 'sha256');
  const again = await fileDigest(await makeKey(circuit, phase1), 'sha256');
  const verified = await snarkjs.zKey.verifyFromR1cs(pathOf.r1cs(circuit), phase1, pathOf.zkey(circuit), logger);
  console.log(
    `${circuit}: pinned ${String(pinned)}\n  present ${present}\n  made again ${again}\n  verified ${verified}`,
  );
  return verified && present === pinned && again === pinned;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    phase1: { type: 'string', default: '.cache/ptau/dev15.ptau' },
    replace: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const chosen = positionals.length === 0 ? CIRCUITS : CIRCUITS.filter((circuit) => positionals.includes(circuit));

if (values.help) {
  console.log(USAGE);
} else {
  mkdirSync(keysDirectory, { recursive: true });
  const phase1File = resolve(values.phase1);
  const phase1 = await identifyPhase1(phase1File);
  for (const circuit of chosen) {
    if (values.check) {
      if (!(await checkKey(circuit, phase1File))) process.exitCode = 1;
    } else if (existsSync(pathOf.zkey(circuit)) && !values.replace) {
      console.log(`${circuit}: a key is there; --replace makes it again`);
    } else {
      await replaceKey(circuit, phase1File, phase1);
      console.log(`${circuit}: made`);
    }
  }
  if (!values.check) {
    // An outside ceremony is what makes a key fit for value: until one is recorded here, every key is a development key.
    writeJson(resolve(keysDirectory, 'ceremony.json'), {
      development: true,
      phase1: { name: phase1.name, blake2b: phase1.blake2b, alpha: phase1.alpha },
      beacons: Object.fromEntries(CIRCUITS.map((circuit) => [circuit, beaconOf(circuit)])),
      beaconText: `${PHASE2_BEACON_TEXT}: <circuit>`,
      beaconIterationsLog2: BEACON_ITERATIONS_LOG2,
    });
  }
  await terminateCurve();
}
