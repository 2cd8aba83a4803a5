import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type { Circuit } from '@bitcloak/protocol/parameters';
import { findAddon, type Addon, type NativeKey } from '@bitcloak/prover/addon';
import { fromBytes, toBytes } from '@bitcloak/prover/elements';
import type { Engine } from '@bitcloak/prover/engine';
import { chooseEngine } from '@bitcloak/prover/engines';
import { throwStatus } from '@bitcloak/prover/nativeStatus';
import { SNARKJS_ENGINE } from '@bitcloak/prover/snarkjsEngine';
import type { VerifyingKey } from '@bitcloak/prover/verifyingKey';
import { findWasm, NodePort } from '@bitcloak/prover/nodeWasm';
import { wasmEngine } from '@bitcloak/prover/wasmEngine';
import { WasmProver } from '@bitcloak/prover/wasmProver';
import { CircomWitness } from '@bitcloak/prover/witness';
import { bn254 } from '@bitcloak/prover/bn254';
import * as snarkjs from 'snarkjs';
import { makeStatements } from '../../scripts/bench/statements.ts';
import { Dice } from '../support/dice.ts';
import { loadEmulatedAddon } from '../support/emulatedAddon.ts';

const circuits = resolve(import.meta.dirname, '../../circuits');
const ELEMENT_BYTES = 32;
const R = 0x1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdefn % bn254.fields.Fr.ORDER;
const S = 987654321n;

const addon = findAddon();

const keyFile = (circuit: Circuit) => new Uint8Array(readFileSync(resolve(circuits, `keys/${circuit}.zkey`)));
const verifyingKey = (circuit: Circuit) =>
  JSON.parse(readFileSync(resolve(circuits, `keys/${circuit}.vkey.json`), 'utf8')) as VerifyingKey;

function witnessOf(circuit: Circuit): Uint8Array {
  const generator = new CircomWitness(
    new WebAssembly.Module(readFileSync(resolve(circuits, `build/${circuit}/${circuit}.wasm`))),
  );
  return generator.compute(makeStatements('prover test')[circuit]);
}

/** snarkjs's proof with r and s: it draws these two, and nothing else, from its field. */
async function snarkjsProof(circuit: Circuit, witness: Uint8Array, factors: readonly bigint[]): Promise<Uint8Array> {
  const { Fr } = await snarkjs.curves.getCurveFromName('bn128');
  const random = Fr.random.bind(Fr);
  const rest = [...factors];
  try {
    Fr.random = () => Fr.e(rest.shift() as bigint);
    const proof = await (await SNARKJS_ENGINE.load(keyFile(circuit))).prove(witness);
    assert.equal(rest.length, 0);
    return proof;
  } finally {
    Fr.random = random;
  }
}

/** Sections of a key file: number, and where its content is. */
function sectionsOf(file: Uint8Array): Map<number, { header: number; start: number; size: number }> {
  const view = new DataView(file.buffer, file.byteOffset);
  const sections = new Map<number, { header: number; start: number; size: number }>();
  for (let at = 12; at < file.length;) {
    const size = Number(view.getBigUint64(at + 4, true));
    sections.set(view.getUint32(at, true), { header: at, start: at + 12, size });
    at += 12 + size;
  }
  return sections;
}

describe('the native prover', function () {
  this.timeout(300_000);
  let native: Addon;

  before(function () {
    if (addon === undefined) this.skip();
    native = addon;
  });

  const blinding = toBytes([R, S]);

  for (const circuit of ['clearing', 'insertion'] as const) {
    it(`makes the same proof of ${circuit} as snarkjs, byte by byte, in each backend and with any number of threads`, async () => {
      const witness = witnessOf(circuit);
      const wanted = await snarkjsProof(circuit, witness, [R, S]);
      for (const backend of native.backends) {
        const key = await native.loadKey(backend, keyFile(circuit));
        for (const threads of circuit === 'clearing' ? [1, 2, 5] : [2]) {
          assert.deepEqual(
            new Uint8Array(await native.prove(key, witness, threads, blinding)),
            wanted,
            `${backend}, ${threads}`,
          );
        }
      }
      const emulated = circuit === 'clearing' ? loadEmulatedAddon() : undefined;
      if (emulated === undefined) return;
      const key = await emulated.loadKey('ifma', keyFile(circuit));
      assert.deepEqual(new Uint8Array(await emulated.prove(key, witness, 2, blinding)), wanted, 'emulated ifma');
    });
  }

  it('makes the same proof in WebAssembly, with and without relaxed SIMD, with any number of workers', async () => {
    const witness = witnessOf('clearing');
    const key = await native.loadKey('portable', keyFile('clearing'));
    const wanted = new Uint8Array(await native.prove(key, witness, 1, blinding));
    for (const variant of ['relaxed', 'plain'] as const) {
      const module = findWasm(variant);
      assert(module !== undefined, variant);
      for (const workers of variant === 'relaxed' ? [1, 2] : [2]) {
        const engine = wasmEngine(variant, module, workers, () => new NodePort());
        const wasmKey = await engine.load(keyFile('clearing'));
        // Two at once take turns.
        const proofs = await Promise.all([wasmKey.prove(witness, blinding), wasmKey.prove(witness)]);
        assert.deepEqual(proofs[0], wanted, `${variant}, ${workers}`);
        const signals = witness.slice(ELEMENT_BYTES, ELEMENT_BYTES * 4);
        for (const proof of proofs) assert(await engine.verify(verifyingKey('clearing'), proof, signals));
        assert.notDeepEqual(proofs[1], wanted);
        await assert.rejects(wasmKey.prove(witness.subarray(32)), { code: 'WITNESS_REFUSED' });
        await assert.rejects(wasmKey.prove(witness, toBytes([bn254.fields.Fr.ORDER, 1n])), { code: 'WITNESS_REFUSED' });
        await assert.rejects(engine.load(keyFile('clearing').subarray(1)), { code: 'KEY_REFUSED' });
      }
    }
  });

  it('leaves nothing of a witness in the memory of the WebAssembly', () => {
    const module = findWasm('relaxed');
    assert(module !== undefined);
    type Name =
      'allocate' | 'loadKey' | 'beginProof' | 'tasks' | 'computeQuotient' | 'computeSum' | 'finish' | 'endProof';
    const exports = new WebAssembly.Instance(module, {}).exports as unknown as Record<
      Name,
      (...numbers: number[]) => number
    > & { memory: WebAssembly.Memory };
    const having = (bytes: Uint8Array, use: (place: number) => number) => {
      const place = exports.allocate(bytes.length);
      new Uint8Array(exports.memory.buffer).set(bytes, place);
      assert.equal(use(place), 0);
      new Uint8Array(exports.memory.buffer).fill(0, place, place + bytes.length);
    };
    const witness = witnessOf('clearing');
    // Hashes, which are nowhere by chance.
    const secrets = Array.from({ length: 150 }, (_, index) => {
      const at = 50 * (index + 1) * ELEMENT_BYTES;
      return Buffer.from(witness.subarray(at, at + ELEMENT_BYTES));
    }).filter((value) => value[ELEMENT_BYTES - 2] !== 0);
    const found = () => {
      const memory = Buffer.from(exports.memory.buffer);
      return secrets.filter((value) => memory.includes(value)).length;
    };
    having(keyFile('clearing'), (place) => exports.loadKey(place, keyFile('clearing').length));
    having(witness, (place) => exports.beginProof(place, witness.length));
    assert(secrets.length > 100 && found() === secrets.length);
    exports.computeQuotient();
    for (let task = 0; task < exports.tasks(); task++) exports.computeSum(task);
    having(blinding, (place) => exports.finish(place));
    exports.endProof();
    assert.equal(found(), 0);
  });

  it('fails in WebAssembly where a worker is lost, and leaves none without a key', async () => {
    const module = findWasm('relaxed');
    assert(module !== undefined);
    const workers: Worker[] = [];
    const exits: Promise<unknown>[] = [];
    const note = (worker: Worker) => {
      workers.push(worker);
      exits.push(once(worker, 'exit'));
    };
    process.on('worker', note);
    try {
      const engine = wasmEngine('relaxed', module, 2, () => new NodePort());
      const key = await engine.load(keyFile('clearing'));
      const [, second] = workers;
      assert(second !== undefined);
      const witness = witnessOf('clearing');
      const lost = key.prove(witness);
      await second.terminate();
      const failure = { code: 'PROVER_FAILED', message: /a worker of the prover ended/ };
      await assert.rejects(lost, failure);
      await assert.rejects(key.prove(witness), failure);

      await assert.rejects(engine.load(keyFile('clearing').subarray(1)), { code: 'KEY_REFUSED' });
      assert.equal(exits.length, 4);
      await Promise.all(exits.slice(2));
    } finally {
      process.off('worker', note);
    }
  });

  it('makes proofs of all circuits that snarkjs and the addon verify, and neither with another signal or point', async () => {
    for (const circuit of ['transfer', 'fill', 'clearing', 'insertion'] as const) {
      const witness = witnessOf(circuit),
        key = verifyingKey(circuit);
      const signals = witness.slice(ELEMENT_BYTES, ELEMENT_BYTES * (1 + key.nPublic));
      const engine = chooseEngine();
      const proof = await (await engine.load(keyFile(circuit))).prove(witness);
      const others = (bytes: Uint8Array) => bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
      // c doubled is on the curve too.
      const c = bn254.G1.Point.BASE;
      const otherPoint = new Uint8Array([...proof.subarray(0, 6 * ELEMENT_BYTES), ...toBytes([c.x, c.y])]);
      for (const judge of [engine, SNARKJS_ENGINE] satisfies Engine[]) {
        assert(await judge.verify(key, proof, signals), circuit);
        assert(!(await judge.verify(key, proof, others(signals))), circuit);
        assert(!(await judge.verify(key, otherPoint, signals)), circuit);
      }
      assert(!(await engine.verify(key, others(proof), signals)), 'a point off the curve');
    }
  });

  it('makes the same proof whatever the order of a key’s terms, and where one is given in parts', async () => {
    const COEFFICIENTS = 4,
      COUNT_BYTES = 4,
      TERM_BYTES = 12 + ELEMENT_BYTES;
    const file = keyFile('clearing');
    const { header, start, size } = sectionsOf(file).get(COEFFICIENTS) as {
      header: number;
      start: number;
      size: number;
    };
    const terms = Array.from({ length: (size - COUNT_BYTES) / TERM_BYTES }, (_, index) =>
      file.slice(start + COUNT_BYTES + index * TERM_BYTES, start + COUNT_BYTES + (index + 1) * TERM_BYTES),
    );
    // Two halves of a coefficient: the first differs from it by 1, the second is 1, in whatever form they are.
    const last = terms.pop() as Uint8Array;
    const coefficient = fromBytes(last.subarray(12))[0] as bigint;
    const parts = [coefficient - 1n, 1n].map((part) => new Uint8Array([...last.subarray(0, 12), ...toBytes([part])]));
    const shuffled = [...parts, ...new Dice('terms').shuffled(terms)];
    const bytes = new Uint8Array([
      ...file.subarray(0, start + COUNT_BYTES),
      ...shuffled.flatMap((term) => [...term]),
      ...file.subarray(start + size),
    ]);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(header + 4, BigInt(size + TERM_BYTES), true);
    view.setUint32(start, shuffled.length, true);
    const witness = witnessOf('clearing');
    for (const backend of native.backends) {
      const [wanted, given] = await Promise.all(
        [file, bytes].map(async (key) => native.prove(await native.loadKey(backend, key), witness, 1, blinding)),
      );
      assert.deepEqual(given, wanted, backend);
    }
  });

  it('draws other factors for each proof', async () => {
    const key = await native.loadKey(native.backends[0] as string, keyFile('clearing'));
    const witness = witnessOf('clearing');
    const proofs = await Promise.all([1, 2, 3, 4].map(async () => native.prove(key, witness, 1)));
    assert.equal(new Set(proofs.map((proof) => Buffer.from(proof).toString('hex'))).size, 4);
  });

  it('takes as many threads as it can where there are more processors', async () => {
    const engine = chooseEngine({ choice: 'native', threads: 1000 });
    assert.match(engine.name, /^native \w+, 256 threads$/);
    const witness = witnessOf('clearing');
    const proof = await (await engine.load(keyFile('clearing'))).prove(witness);
    assert(await engine.verify(verifyingKey('clearing'), proof, witness.slice(ELEMENT_BYTES, ELEMENT_BYTES * 4)));
  });

  it('says which prover is not there', () => {
    assert.throws(() => chooseEngine({ choice: 'abacus' as never }), {
      code: 'PROVER_UNAVAILABLE',
      message: /abacus is not there/,
    });
  });

  describe('refuses', () => {
    let file: Uint8Array;
    let sections: ReturnType<typeof sectionsOf>;
    let witness: Uint8Array;

    before(() => {
      file = keyFile('clearing');
      sections = sectionsOf(file);
      witness = witnessOf('clearing');
    });

    const sectionAt = (kind: number) => sections.get(kind) as { header: number; start: number; size: number };
    const changed = (change: (view: DataView, bytes: Uint8Array) => void): Uint8Array => {
      const copy = file.slice();
      change(new DataView(copy.buffer), copy);
      return copy;
    };
    const refusesKey = async (bytes: Uint8Array, message: RegExp, name: string) => {
      for (const backend of native.backends) {
        await assert.rejects(native.loadKey(backend, bytes).catch(throwStatus), { code: 'KEY_REFUSED', message }, name);
      }
    };
    /** The file without a piece of a section. */
    const without = (kind: number, from: number, size: number) => {
      const { header, start } = sectionAt(kind);
      const bytes = new Uint8Array([...file.subarray(0, start + from), ...file.subarray(start + from + size)]);
      const view = new DataView(bytes.buffer);
      view.setBigUint64(header + 4, view.getBigUint64(header + 4, true) - BigInt(size), true);
      return bytes;
    };

    it('keys of another kind', async () => {
      const kind = /expected a Groth16 key over BN254/;
      await refusesKey(new Uint8Array(0), kind, 'nothing');
      await refusesKey(file.subarray(0, 11), kind, 'a piece of the header');
      await refusesKey(
        changed((_, bytes) => bytes.fill(0x77, 0, 1)),
        kind,
        'magic',
      );
      await refusesKey(
        changed((view) => view.setUint32(4, 2, true)),
        kind,
        'version',
      );
      await refusesKey(
        changed((view) => view.setUint32(sectionAt(1).start, 2, true)),
        kind,
        'protocol',
      );
      await refusesKey(
        changed((view) => view.setUint32(sectionAt(7).header, 6, true)),
        kind,
        'two sections of a kind',
      );
      await refusesKey(
        changed((view) => view.setUint32(sectionAt(7).header, 11, true)),
        kind,
        'a section of no kind',
      );
      await refusesKey(
        changed((view) => view.setUint8(sectionAt(2).start + 4, 0)),
        kind,
        'base field',
      );
      await refusesKey(
        changed((view) => view.setUint8(sectionAt(2).start + 40, 0)),
        kind,
        'scalar field',
      );
    });

    it('keys whose lengths do not fit', async () => {
      const size = /another length/;
      for (const length of [12, 20, 30, 100, 1000, file.length / 2, file.length - 1]) {
        await refusesKey(
          file.subarray(0, Math.floor(length)),
          length === 12 ? /length|expected/ : size,
          `${length} bytes`,
        );
      }
      await refusesKey(new Uint8Array([...file.subarray(0, 12), ...file.subarray(12), 0]), size, 'a byte more');
      await refusesKey(
        changed((view) => view.setBigUint64(sectionAt(5).header + 4, 1n << 63n, true)),
        size,
        'a length of 2^63',
      );
      const counts = { wires: 72, publics: 76, domain: 80 };
      const { start } = sectionAt(2);
      const add = (offset: number, by: number) =>
        changed((view) => view.setUint32(start + offset, view.getUint32(start + offset, true) + by, true));
      await refusesKey(add(counts.wires, 1), size, 'wires');
      await refusesKey(add(counts.publics, 1), size, 'signals');
      await refusesKey(
        changed((view) => view.setUint32(start + counts.domain, 16_384, true)),
        size,
        'domain',
      );
      await refusesKey(
        changed((view) => view.setUint32(sectionAt(4).start, 7, true)),
        size,
        'terms',
      );
      await refusesKey(without(3, 0, 64), size, 'a signal without a point');
    });

    it('keys of so many terms that their length has more than 32 bits, in WebAssembly', () => {
      const { start } = sectionAt(4);
      for (const more of [2 ** 30, 2 ** 31, 3 * 2 ** 30]) {
        const key = changed((view) => view.setUint32(start, view.getUint32(start, true) + more, true));
        for (const variant of ['relaxed', 'plain'] as const) {
          const module = findWasm(variant);
          assert(module !== undefined, variant);
          // The length, before any of them was read.
          assert.throws(() => new WasmProver(module).loadKey(key), { status: 2 }, `${variant}: ${more} more`);
        }
      }
    });

    it('keys with numbers out of their range', async () => {
      const range = /out of its range/;
      const { start } = sectionAt(2),
        terms = sectionAt(4).start + 4;
      for (const domain of [0, 8, 8191, 2 ** 31]) {
        await refusesKey(
          changed((view) => view.setUint32(start + 80, domain, true)),
          range,
          `a domain of ${domain}`,
        );
      }
      await refusesKey(
        changed((view) => view.setUint32(start + 72, 0xffffffff, true)),
        range,
        'wires',
      );
      await refusesKey(
        changed((view) => view.setUint32(start + 76, 7770, true)),
        range,
        'signals',
      );
      await refusesKey(
        changed((view) => view.setUint32(terms, 2, true)),
        range,
        'matrix',
      );
      await refusesKey(
        changed((view) => view.setUint32(terms + 4, 8192, true)),
        range,
        'row',
      );
      await refusesKey(
        changed((view) => view.setUint32(terms + 8, 7770, true)),
        range,
        'wire',
      );
      await refusesKey(
        changed((_, bytes) => bytes.fill(0xff, terms + 12, terms + 44)),
        range,
        'coefficient',
      );
    });

    it('keys with points off the curve, of each table, and header points at infinity', async () => {
      const point = /a point is not on its curve/;
      const { start } = sectionAt(2);
      for (const offset of [84, 148, 212, 340, 468, 532]) {
        await refusesKey(
          changed((view) => view.setUint8(start + offset, view.getUint8(start + offset) ^ 1)),
          point,
          `header ${offset}`,
        );
      }
      await refusesKey(
        changed((_, bytes) => bytes.fill(0, start + 84, start + 148)),
        point,
        'alpha at infinity',
      );
      await refusesKey(
        changed((_, bytes) => bytes.fill(0, start + 340, start + 468)),
        point,
        'gamma at infinity',
      );
      for (const kind of [3, 5, 6, 7, 8, 9]) {
        const { start: from, size } = sectionAt(kind);
        const last = from + size - 1;
        await refusesKey(
          changed((view) => view.setUint8(last, 0xff)),
          point,
          `a coordinate not below the modulus in ${kind}`,
        );
        // The last point that is not infinity.
        const used = file.subarray(0, last + 1).findLastIndex((byte) => byte !== 0);
        await refusesKey(
          changed((view) => view.setUint8(used - 8, view.getUint8(used - 8) ^ 1)),
          point,
          `table ${kind}`,
        );
      }
    });

    it('witnesses of another length or with values out of their range, and factors out of theirs', async () => {
      const { ORDER } = bn254.fields.Fr;
      for (const backend of native.backends) {
        const key = await native.loadKey(backend, file);
        const refuses = (bytes: Uint8Array, factors = blinding, message = /witness: a value/) =>
          assert.rejects(native.prove(key, bytes, 1, factors).catch(throwStatus), { code: 'WITNESS_REFUSED', message });
        await refuses(witness.subarray(32), blinding, /another length/);
        await refuses(witness.subarray(1), blinding, /another length/);
        await refuses(new Uint8Array(0), blinding, /another length/);
        const having = (index: number, value: bigint) => {
          const copy = witness.slice();
          copy.set(toBytes([value]), index * ELEMENT_BYTES);
          return copy;
        };
        await refuses(having(0, 2n));
        await refuses(having(5, ORDER));
        await refuses(having(witness.length / ELEMENT_BYTES - 1, 2n ** 256n - 1n));
        await refuses(witness, toBytes([ORDER, 1n]), /blinding/);
        await refuses(witness, toBytes([1n, ORDER]), /blinding/);
      }
    });

    it('what is no argument at all', async () => {
      const key = await native.loadKey('portable', file);
      const call = native as unknown as Record<
        'loadKey' | 'prove' | 'verify' | 'apply',
        (...words: unknown[]) => unknown
      >;
      const nonsense: readonly (readonly [keyof typeof call, ...unknown[]])[] = [
        ['loadKey'],
        ['loadKey', 'portable'],
        ['loadKey', 'nobody', file],
        ['loadKey', 'portable', 'file'],
        ['loadKey', 'portable', new Float64Array(4)],
        ['prove'],
        ['prove', {}, witness, 1],
        ['prove', key, witness, 0],
        ['prove', key, witness, 257],
        ['prove', key, 7, 1],
        ['prove', key, witness, 1, new Uint8Array(63)],
        ['prove', key, witness, 1, 7],
        ['verify'],
        ['verify', new Uint8Array(576), new Uint8Array(256), new Uint8Array(33)],
        ['verify', new Uint8Array(5), new Uint8Array(256), new Uint8Array(32)],
        ['apply', 'portable', 255, witness.subarray(0, 32), witness.subarray(0, 32), 1, 32],
        ['apply', 'portable', 2, witness.subarray(0, 32), witness.subarray(0, 31), 1, 32],
        ['apply', 'portable', 2, witness.subarray(0, 32), witness.subarray(0, 32), 2, 64],
        ['apply', 'portable', 64, witness.subarray(0, 32), witness.subarray(0, 32), 1, 64],
      ];
      for (const [name, ...words] of nonsense)
        assert.throws(() => call[name](...words), TypeError, `${name} ${words.length}`);
    });

    it('or reads without harm, whatever bytes were changed', async () => {
      const dice = new Dice('key file');
      let refusals = 0;
      const interesting = [...sections.values()].flatMap(({ header, start }) => [header, header + 4, start, start + 4]);
      for (let round = 0; round < 60; round++) {
        const copy = file.slice(0, dice.chance(1, 4) ? dice.int(file.length) : file.length);
        for (let change = dice.int(4); change >= 0; change--) {
          const near = dice.chance(3, 4) ? dice.pick(interesting) + dice.int(12) : dice.int(file.length);
          if (near < copy.length) copy[near] = dice.pick([0, 1, 0x7f, 0x80, 0xff, dice.int(256)]);
        }
        const key: NativeKey | undefined = await native.loadKey('portable', copy).catch((error: unknown) => {
          assert.throws(() => throwStatus(error), { code: 'KEY_REFUSED' });
          refusals++;
          return undefined;
        });
        if (key !== undefined)
          await native
            .prove(key, witness, 2)
            .catch((error: unknown) => assert.throws(() => throwStatus(error), { code: 'WITNESS_REFUSED' }));
      }
      assert(refusals > 30, `${refusals} refusals`);
    });
  });
});
