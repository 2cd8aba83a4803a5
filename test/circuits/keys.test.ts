import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs, { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';
import { CIRCUITS, PUBLIC_SIGNALS, type Circuit } from '@bitcloak/protocol/parameters';
import { LocalProver } from '@bitcloak/prover/prover';
import { checkKeysTogether, checkVerifyingKey, type VerifyingKey } from '@bitcloak/prover/verifyingKey';
import * as snarkjs from 'snarkjs';
import { fileDigest, identifyPhase1, PHASE1_FILES } from '../../scripts/ceremony/phase1File.ts';

const circuits = resolve(import.meta.dirname, '../../circuits');
const readJson = (path: string) => JSON.parse(readFileSync(resolve(circuits, path), 'utf8')) as unknown;
const verifyingKeyOf = (circuit: Circuit) => readJson(`keys/${circuit}.vkey.json`) as VerifyingKey;

/** Sections of snarkjs's key file, by their ids. */
const CONTRIBUTIONS_SECTION = 10;
const HASH_BYTES = 64;
/** Delta after it, the proof of knowledge in three points, and the hash of what came before. */
const CONTRIBUTION_HEAD_BYTES = 3 * 64 + 128 + HASH_BYTES;
const BEACON_TYPE = 1;
const PARAMETER = { name: 1, iterationsLog2: 2, beacon: 3 } as const;

type Contribution = { readonly type: number; readonly iterationsLog2?: number; readonly beacon?: string };

/** What a proving key's file says of each contribution to its phase 2. */
function contributionsOf(zkey: Buffer): Contribution[] {
  const sections = zkey.readUInt32LE(8);
  let at = 12;
  for (let section = 0; section < sections && zkey.readUInt32LE(at) !== CONTRIBUTIONS_SECTION; section++) {
    at += 12 + Number(zkey.readBigUInt64LE(at + 4));
  }
  at += 12 + HASH_BYTES;
  const count = zkey.readUInt32LE(at);
  at += 4;
  return Array.from({ length: count }, () => {
    at += CONTRIBUTION_HEAD_BYTES;
    const type = zkey.readUInt32LE(at);
    const end = at + 8 + zkey.readUInt32LE(at + 4);
    at += 8;
    const found: { iterationsLog2?: number; beacon?: string } = {};
    while (at < end) {
      const [parameter, value] = [zkey.readUInt8(at), zkey.readUInt8(at + 1)];
      at += 2;
      if (parameter === PARAMETER.iterationsLog2) {
        found.iterationsLog2 = value;
        continue;
      }
      const bytes = zkey.subarray(at, at + value);
      if (parameter === PARAMETER.beacon) found.beacon = bytes.toString('hex');
      else assert.equal(parameter, PARAMETER.name, 'a parameter that there is');
      at += value;
    }
    assert.equal(at, end);
    return { type, ...found };
  });
}

function refusedWith(code: ErrorCode) {
  return (error: unknown) => error instanceof BitcloakError && error.code === code;
}

describe('the keys', () => {
  const ceremony = readJson('keys/ceremony.json') as {
    development: boolean;
    phase1: { name: string; blake2b: string; alpha: [string, string] };
    beacons: Record<Circuit, string>;
    beaconText: string;
    beaconIterationsLog2: number;
  };

  for (const circuit of CIRCUITS) {
    it(`of ${circuit} are the pinned ones, and the verifying key is that of the proving key`, async () => {
      const pin = readJson(`pins/${circuit}.json`) as { zkeySha256: string };
      const zkey = resolve(circuits, `keys/${circuit}.zkey`);
      assert.equal(await fileDigest(zkey, 'sha256'), pin.zkeySha256);
      assert.deepEqual(await snarkjs.zKey.exportVerificationKey(zkey), verifyingKeyOf(circuit));
    });

    it(`of ${circuit} come from the recorded beacon, and from nothing else`, () => {
      const text = ceremony.beaconText.replace('<circuit>', circuit);
      assert.equal(createHash('sha256').update(text).digest('hex'), ceremony.beacons[circuit]);
      // Who contributed something else, and knows its secret, can forge: a new pin must not hide it.
      const { beaconIterationsLog2: iterationsLog2, beacons } = ceremony;
      assert.deepEqual(contributionsOf(readFileSync(resolve(circuits, `keys/${circuit}.zkey`))), [
        { type: BEACON_TYPE, iterationsLog2, beacon: beacons[circuit] },
      ]);
    });
  }

  it('come from one known phase 1, and no two share a phase 2', () => {
    const known = PHASE1_FILES.find(({ name }) => name === ceremony.phase1.name);
    assert.deepEqual([ceremony.phase1.blake2b, ceremony.phase1.alpha], [known?.blake2b, known?.alpha]);
    assert.equal(ceremony.development, true);
    const points = CIRCUITS.map((circuit) => {
      const { alpha } = ceremony.phase1;
      return [
        circuit,
        checkVerifyingKey(verifyingKeyOf(circuit), { signals: PUBLIC_SIGNALS[circuit].length, alpha }),
      ] as const;
    });
    checkKeysTogether(Object.fromEntries(points));
    assert.equal(new Set(Object.values(ceremony.beacons)).size, CIRCUITS.length);
  });

  it('are not made from a phase 1 that is not known', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'bitcloak-phase1-'));
    const file = join(directory, 'other.ptau');
    writeFileSync(file, 'ptau of somebody');
    await assert.rejects(identifyPhase1(file), /no known phase 1 file/);
    rmSync(directory, { recursive: true });
  });

  describe('that the prover loads', () => {
    let directory: string;

    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), 'bitcloak-keys-'));
      for (const part of ['pins', 'keys', 'build/transfer']) {
        cpSync(resolve(circuits, part), join(directory, part), { recursive: true });
      }
    });
    afterEach(() => {
      rmSync(directory, { recursive: true });
    });

    const damage = (path: string) => {
      const bytes = readFileSync(join(directory, path));
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
      writeFileSync(join(directory, path), bytes);
    };

    it('are refused where a byte of the proving key differs', async () => {
      damage('keys/transfer.zkey');
      await assert.rejects(
        new LocalProver({ circuitsDirectory: directory }).prove('transfer', {}),
        refusedWith('KEY_MISMATCH'),
      );
    });

    it('are refused where a byte of the witness program differs', async () => {
      damage('build/transfer/transfer.program');
      await assert.rejects(
        new LocalProver({ circuitsDirectory: directory }).prove('transfer', {}),
        refusedWith('KEY_MISMATCH'),
      );
    });

    it('are read once: what was hashed is what is used', async () => {
      const { readFile } = fs.promises;
      const counts = new Map<string, number>();
      // Whoever changes a file after it was read changes nothing.
      fs.promises.readFile = ((path: string) => {
        counts.set(path, (counts.get(path) ?? 0) + 1);
        return readFile(path);
      }) as typeof readFile;
      syncBuiltinESMExports();
      try {
        // The key is loaded, and the witness program, which wants values.
        await assert.rejects(new LocalProver({ circuitsDirectory: directory }).prove('transfer', {}), RangeError);
      } finally {
        fs.promises.readFile = readFile;
        syncBuiltinESMExports();
      }
      for (const path of ['keys/transfer.zkey', 'build/transfer/transfer.program']) {
        assert.equal(counts.get(join(directory, path)), 1, path);
      }
    });

    it('are refused where phase 2 was skipped', async () => {
      const path = join(directory, 'keys/transfer.vkey.json');
      const key = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
      writeFileSync(path, JSON.stringify({ ...key, vk_delta_2: key['vk_gamma_2'] }));
      await assert.rejects(
        new LocalProver({ circuitsDirectory: directory }).prove('transfer', {}),
        refusedWith('KEY_REFUSED'),
      );
    });

    it('are asked for where there are none', async () => {
      rmSync(join(directory, 'keys/transfer.zkey'));
      await assert.rejects(
        new LocalProver({ circuitsDirectory: directory }).prove('transfer', {}),
        refusedWith('KEY_MISMATCH'),
      );
    });
  });
});
