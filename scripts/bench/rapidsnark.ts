import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { toBytes } from '@bitcloak/prover/elements';
import type { Engine } from '@bitcloak/prover/engine';
import { SNARKJS_ENGINE } from '@bitcloak/prover/snarkjsEngine';
import { toWtns } from '@bitcloak/prover/witness';

type Json = { readonly pi_a: string[]; readonly pi_b: string[][]; readonly pi_c: string[] };

/**
 * rapidsnark's program (`prover KEY WITNESS PROOF SIGNALS`), to be measured beside the project's own provers. It reads the key for each proof; what its process
 * computes is that of a child.
 */
export function rapidsnarkEngine(program: string): Engine {
  return {
    name: 'rapidsnark',
    load: async (zkey) => {
      const directory = mkdtempSync(join(tmpdir(), 'bitcloak-rapidsnark-'));
      process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
      const file = (name: string) => join(directory, name);
      writeFileSync(file('key.zkey'), zkey);
      return {
        prove: async (witness) => {
          writeFileSync(file('witness.wtns'), toWtns(witness));
          await promisify(execFile)(program, ['key.zkey', 'witness.wtns', 'proof.json', 'signals.json'].map(file));
          // It ends texts with a zero.
          const text = readFileSync(file('proof.json'), 'utf8').replace(/\0+$/, '');
          const { pi_a: a, pi_b: b, pi_c: c } = JSON.parse(text) as Json;
          return toBytes([a.slice(0, 2), ...b.slice(0, 2), c.slice(0, 2)].flat().map(BigInt));
        },
      };
    },
    verify: (...proven) => SNARKJS_ENGINE.verify(...proven),
  };
}
