import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CIRCUIT_DOMAIN, CIRCUITS, PUBLIC_SIGNALS } from '@bitcloak/protocol/parameters';
import { circuitFiles, circuitNames } from '../../scripts/compileCircuits.mjs';
import { compiledCircuit, ROOT } from '../support/circuit.ts';
import { compileAgain, genuineCircuit } from './copies.ts';

type Pin = {
  circuit: string;
  constraints: number;
  publicSignals: number;
  r1csSha256: string;
  wasmSha256: string;
  programSha256: string;
};

const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

describe('circuits: pinned sizes', function () {
  this.timeout('5 minutes');

  // Set-up compiles all of them from nothing, and their bytes are pinned.
  it('compiling one again gives the same bytes', async () => {
    assert.deepEqual(await compileAgain('clearing'), []);
  });

  it('the table names every circuit', () => {
    assert.deepEqual([...CIRCUITS].sort(), circuitNames(ROOT));
  });

  for (const circuit of CIRCUITS) {
    it(`${circuit}: the build is the pinned one`, () => {
      const pin = JSON.parse(readFileSync(path.join(ROOT, 'circuits', 'pins', `${circuit}.json`), 'utf8')) as Pin;
      const { r1cs } = compiledCircuit(circuit);
      const files = circuitFiles(ROOT, circuit);
      assert.equal(pin.circuit, circuit);
      assert.equal(r1cs.constraintCount, pin.constraints);
      assert.equal(r1cs.publicSignalCount, pin.publicSignals);
      assert.equal(sha256(files.r1cs), pin.r1csSha256);
      assert.equal(sha256(files.wasm), pin.wasmSha256);
      assert.equal(sha256(files.program), pin.programSha256);
    });

    it(`${circuit}: proving stays on this side of a power of two`, () => {
      const { constraintCount, publicSignalCount } = compiledCircuit(circuit).r1cs;
      assert.ok(constraintCount + publicSignalCount + 1 <= CIRCUIT_DOMAIN[circuit]);
    });

    it(`${circuit}: the public signals stand in the order of the table`, async () => {
      const { r1cs, symbols } = await genuineCircuit(circuit);
      const names = new Map([...symbols].map(([name, wire]) => [wire, name]));
      const publicNames = Array.from({ length: r1cs.publicSignalCount }, (_, index) => names.get(index + 1));
      assert.deepEqual(
        publicNames,
        PUBLIC_SIGNALS[circuit].map((name) => `main.${name}`),
      );
    });
  }
});
