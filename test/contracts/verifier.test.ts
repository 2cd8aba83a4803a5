import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { CIRCUITS, FIELD_MODULUS, PUBLIC_SIGNALS } from '@bitcloak/protocol/parameters';
import { AbiCoder, concat, isError, keccak256, toBeHex, type BaseContract } from 'ethers';
import fc from 'fast-check';
import { verifyingKeysLibrary } from '../../scripts/codegen/verifyingKeys.ts';
import { openChain, type Chain, type Deployable } from '../support/chain.ts';
import { executionGas, expectGas } from '../support/gasSnapshot.ts';
import { compile } from '../support/solidity.ts';
import { tinyCircuits, writeKeys, type TinyCircuits } from '../support/tinyCircuits.ts';

type Claim = { circuit: number; proof: bigint[]; signals: bigint[] };

const VERIFIER = 'contracts/pool/Verifier.sol';
const KEYS = 'contracts/generated/VerifyingKeys.sol';
const BASE_MODULUS = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;
const TRANSFER = CIRCUITS.indexOf('transfer');
const INSERTION = CIRCUITS.indexOf('insertion');
const CONTRACT_BYTES_MAX = 24_576;
const CLAIMS_TYPE = 'tuple(uint8 circuit, uint256[8] proof, uint256[] signals)[]';
const PROOF_WORDS = ['A.x', 'A.y', 'B.x imaginary', 'B.x real', 'B.y imaginary', 'B.y real', 'C.x', 'C.y'];

/** On the twist, but not in the subgroup of prime order: x = 1. In the order of a proof. */
const OUTSIDE_SUBGROUP = [
  0n,
  1n,
  15975588672102553735566230729081043132501226101599136527557730645158523614371n,
  3610091866386166428467545612961983990332663701371483510632385378352395651980n,
];

const mod = (value: bigint, modulus: bigint) => ((value % modulus) + modulus) % modulus;
const words = (values: readonly bigint[]) => concat(values.map((value) => toBeHex(value, 32)));

/** The keys' library and, for deployment on any chain, the same one as if an outsider had taken part in the ceremony. */
function libraries({ keys }: TinyCircuits): { development: string; production: string } {
  const [x, y] = keys.transfer.vk_alpha_1;
  const [development, production] = [undefined, { development: false, phase1: { alpha: [x, y] } }].map((ceremony) => {
    const directory = writeKeys(keys, ceremony);
    try {
      return verifyingKeysLibrary(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }) as [string, string];
  return { development, production };
}

describe('Verifier', () => {
  let chain: Chain;
  let verifier: BaseContract;
  let compiled: Deployable;
  let sources: { development: string; production: string };
  let all: Claim[];
  let transfers: Claim[];
  let insertions: Claim[];
  let byCircuit: Claim[][];

  const claim = (claims: Claim[], index: number) => structuredClone(claims[index] as Claim);
  const call = async (claims: Claim[], contract = verifier) =>
    (await contract.getFunction('verify')(claims)) as boolean;

  /** 'true', 'false' or the name of the custom error. */
  async function outcome(claims: Claim[], contract = verifier): Promise<string> {
    try {
      return String(await call(claims, contract));
    } catch (error) {
      if (!isError(error, 'CALL_EXCEPTION') || error.revert === null) throw error;
      return error.revert.name;
    }
  }

  async function expectError(claims: Claim[], name: string, parameters: bigint[]): Promise<void> {
    await assert.rejects(call(claims), (error: unknown) => {
      assert.ok(isError(error, 'CALL_EXCEPTION') && error.revert !== null);
      assert.equal(error.revert.name, name);
      assert.deepEqual([...(error.revert.args as Iterable<unknown>)], parameters);
      return true;
    });
  }

  async function precompile(address: number, input: bigint[]): Promise<bigint[]> {
    const output = await chain.provider.call({ to: toBeHex(address, 20), data: words(input) });
    return (output.slice(2).match(/.{64}/g) ?? []).map((word) => BigInt(`0x${word}`));
  }
  const add = (left: bigint[], right: bigint[]) => precompile(6, [...left, ...right]);
  const multiply = (point: bigint[], scalar: bigint) => precompile(7, [...point, mod(scalar, FIELD_MODULUS)]);

  before(async () => {
    const tiny = tinyCircuits();
    all = tiny.claims.map(({ circuit, proof, signals }) => ({
      circuit: CIRCUITS.indexOf(circuit),
      proof: proof.map(BigInt),
      signals: signals.map(BigInt),
    }));
    byCircuit = CIRCUITS.map((_, number) => all.filter(({ circuit }) => circuit === number));
    [transfers, insertions] = [byCircuit[TRANSFER] ?? [], byCircuit[INSERTION] ?? []];
    sources = libraries(tiny);
    compiled = compile(VERIFIER, 'Verifier', { [KEYS]: sources.development });
    chain = await openChain();
    verifier = await chain.deploy(compiled);
  });
  after(() => chain.close());

  describe('accepts', () => {
    it('every true claim alone', async () => {
      for (const [index] of all.entries()) assert.equal(await call([claim(all, index)]), true);
    });

    it('two claims of one circuit in either order, and of two circuits', async () => {
      assert.equal(await call([claim(transfers, 0), claim(transfers, 1)]), true);
      assert.equal(await call([claim(transfers, 1), claim(transfers, 0)]), true);
      assert.equal(await call([claim(transfers, 2), claim(insertions, 0)]), true);
    });

    it('the claims of every circuit together, and of any two circuits', async () => {
      assert.equal(await call(all), true);
      for (const [index, second] of byCircuit.entries()) {
        for (const first of byCircuit.slice(0, index)) assert.equal(await call([...first, ...second]), true);
      }
    });

    it('a claim that comes twice: what it means is for the caller', async () => {
      assert.equal(
        await call([claim(transfers, 0), claim(transfers, 0), claim(insertions, 0), claim(insertions, 0)]),
        true,
      );
    });

    it('any selection of true claims', async () => {
      const selection = fc.array(fc.nat(all.length - 1), { minLength: 1, maxLength: 6 });
      const property = fc.asyncProperty(selection, async (indices) => {
        const claims = indices.sort((left, right) => left - right).map((index) => claim(all, index));
        assert.equal(await call(claims), true);
      });
      await fc.assert(property, { seed: 20261122, numRuns: 20 });
    });
  });

  describe('refuses a false claim, alone and among true ones', () => {
    /** The claim in every place where it could hide. */
    async function expectRefusal(bad: Claim, label: string): Promise<void> {
      const batches = [
        [bad],
        bad.circuit === TRANSFER ? [bad, claim(insertions, 0)] : [claim(transfers, 0), bad],
        [...all, bad].sort((left, right) => left.circuit - right.circuit),
        [bad, ...all].sort((left, right) => left.circuit - right.circuit),
      ];
      for (const batch of batches) {
        assert.ok(['false', 'PrecompileFailed'].includes(await outcome(batch)), `${label}, ${batch.length} claims`);
      }
    }

    PROOF_WORDS.forEach((name, word) => {
      it(`with another ${name}`, async () => {
        for (const claims of byCircuit) {
          for (const change of [(value: bigint) => value ^ 1n, () => 0n, (value: bigint) => BASE_MODULUS - value]) {
            const bad = claim(claims, 0);
            bad.proof[word] = change(bad.proof[word] as bigint);
            await expectRefusal(bad, name);
          }
        }
      });
    });

    it('with another signal, whichever', async () => {
      for (const claims of byCircuit) {
        for (const position of (claims[0] as Claim).signals.keys()) {
          for (const change of [
            (value: bigint) => value ^ 1n,
            (value: bigint) => (value === 0n ? FIELD_MODULUS - 1n : 0n),
          ]) {
            const bad = claim(claims, 0);
            bad.signals[position] = change(bad.signals[position] as bigint);
            await expectRefusal(bad, `signal ${position}`);
          }
        }
      }
    });

    it('with a negated point', async () => {
      for (const coordinates of [[1], [4, 5], [7]]) {
        const bad = claim(transfers, 0);
        for (const word of coordinates) bad.proof[word] = BASE_MODULUS - (bad.proof[word] as bigint);
        assert.equal(await outcome([bad]), 'false');
        assert.equal(await outcome([claim(transfers, 1), bad, claim(insertions, 0)]), 'false');
      }
    });

    it('with points at infinity', async () => {
      for (const points of [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]]) {
        const bad = claim(transfers, 0);
        for (const point of points)
          bad.proof.fill(
            0n,
            ...([
              [0, 2],
              [2, 6],
              [6, 8],
            ][point] as [number, number]),
          );
        assert.equal(await outcome([bad]), 'false');
        assert.equal(await outcome([claim(transfers, 1), bad, claim(insertions, 0)]), 'false');
      }
    });

    it('with only zeros, signals included', async () => {
      const bad = { circuit: INSERTION, proof: Array<bigint>(8).fill(0n), signals: Array<bigint>(6).fill(0n) };
      await expectRefusal(bad, 'zeros');
      assert.equal(await outcome([bad, bad, bad]), 'false');
    });

    it('with the proof or the signals of another claim', async () => {
      const [first, second] = [claim(transfers, 0), claim(transfers, 1)];
      assert.equal(await outcome([{ ...first, signals: second.signals }]), 'false');
      assert.equal(
        await outcome([
          { ...first, signals: second.signals },
          { ...second, signals: first.signals },
        ]),
        'false',
      );
      assert.equal(await outcome([{ ...first, proof: claim(insertions, 0).proof }]), 'false');
    });

    it('with two signals exchanged', async () => {
      const bad = claim(transfers, 0);
      [bad.signals[1], bad.signals[2]] = [bad.signals[2] as bigint, bad.signals[1] as bigint];
      await expectRefusal(bad, 'exchanged');
    });

    it('after any change of any word', async () => {
      const change = fc.record({
        indices: fc.array(fc.nat(all.length - 1), { minLength: 1, maxLength: 4 }),
        target: fc.nat(),
        word: fc.nat(),
        difference: fc.bigInt({ min: 1n, max: FIELD_MODULUS - 1n }),
      });
      const property = fc.asyncProperty(change, async ({ indices, target, word, difference }) => {
        const claims = indices.sort((left, right) => left - right).map((index) => claim(all, index));
        const { proof, signals } = claims[target % claims.length] as Claim;
        const place = word % (proof.length + signals.length);
        const [list, index, modulus] =
          place < 8 ? ([proof, place, BASE_MODULUS] as const) : ([signals, place - 8, FIELD_MODULUS] as const);
        list[index] = mod((list[index] as bigint) + difference, modulus);
        assert.notEqual(await outcome(claims), 'true');
      });
      await fc.assert(property, { seed: 20261123, numRuns: 120 });
    });
  });

  describe('refuses malformed points', () => {
    PROOF_WORDS.forEach((name, word) => {
      it(`an alias of ${name}`, async () => {
        for (const others of [[], [claim(transfers, 1)]]) {
          const bad = claim(transfers, 0);
          bad.proof[word] = (bad.proof[word] as bigint) + BASE_MODULUS;
          for (const batch of [
            [bad, ...others],
            [...others, bad],
          ])
            assert.equal(await outcome(batch), 'PrecompileFailed');
        }
      });
    });

    it('coordinates of infinity written as the modulus', async () => {
      for (const [start, end] of [
        [0, 2],
        [2, 6],
        [6, 8],
      ] as const) {
        const bad = claim(transfers, 0);
        bad.proof.fill(BASE_MODULUS, start, end);
        assert.equal(await outcome([bad]), 'PrecompileFailed');
      }
    });

    it('a point of the twist outside the subgroup', async () => {
      const bad = claim(transfers, 0);
      bad.proof.splice(2, 4, ...OUTSIDE_SUBGROUP);
      assert.equal(await outcome([bad]), 'PrecompileFailed');
      assert.equal(await outcome([claim(transfers, 1), bad]), 'PrecompileFailed');
    });

    it('and says which precompile refused', async () => {
      const bad = claim(transfers, 0);
      bad.proof[0] = BASE_MODULUS;
      await expectError([bad], 'PrecompileFailed', [8n]);
      await expectError([claim(transfers, 1), bad], 'PrecompileFailed', [7n]);
    });
  });

  describe('refuses malformed claims', () => {
    it('none', () => expectError([], 'NoClaims', []));

    it('a circuit that is not there', async () => {
      await expectError([{ ...claim(transfers, 0), circuit: CIRCUITS.length }], 'UnknownCircuit', [
        BigInt(CIRCUITS.length),
      ]);
      await expectError([claim(transfers, 0), { ...claim(insertions, 0), circuit: 255 }], 'UnknownCircuit', [255n]);
    });

    it('circuits out of order', async () => {
      const batch = [claim(transfers, 0), claim(insertions, 0), claim(transfers, 1)];
      await expectError(batch, 'ClaimsOutOfOrder', [2n, BigInt(INSERTION), BigInt(TRANSFER)]);
    });

    it('a missing and a further signal', async () => {
      const expected = BigInt(PUBLIC_SIGNALS.transfer.length);
      const missing = claim(transfers, 0);
      missing.signals.pop();
      await expectError([missing], 'WrongSignalCount', [0n, expected, expected - 1n]);
      const further = claim(transfers, 1);
      further.signals.push(0n);
      await expectError([claim(transfers, 0), further], 'WrongSignalCount', [1n, expected, expected + 1n]);
      await expectError([{ ...claim(transfers, 0), signals: [] }], 'WrongSignalCount', [0n, expected, 0n]);
      await expectError([{ ...claim(insertions, 0), circuit: TRANSFER }], 'WrongSignalCount', [0n, expected, 6n]);
    });

    it('an alias of a signal, whichever', async () => {
      for (const position of PUBLIC_SIGNALS.transfer.keys()) {
        const bad = claim(transfers, 1);
        const alias = (bad.signals[position] as bigint) + FIELD_MODULUS;
        bad.signals[position] = alias;
        await expectError([bad], 'SignalNotInField', [0n, BigInt(position), alias]);
        await expectError([claim(transfers, 0), bad, claim(insertions, 0)], 'SignalNotInField', [
          1n,
          BigInt(position),
          alias,
        ]);
      }
      const largest = { ...claim(insertions, 0) };
      largest.signals[5] = 2n ** 256n - 1n;
      await expectError([largest], 'SignalNotInField', [0n, 5n, 2n ** 256n - 1n]);
    });

    it('data that is no list of claims', async () => {
      const data = verifier.interface.encodeFunctionData('verify', [[claim(transfers, 0)]]);
      const to = await verifier.getAddress();
      for (const broken of [data.slice(0, -64), data.slice(0, 10), data.slice(0, 10) + 'f'.repeat(data.length - 10)]) {
        await assert.rejects(chain.provider.call({ to, data: broken }));
      }
      // A circuit identifier with higher bits set.
      const dirty = data.slice(0, 10 + 3 * 64) + toBeHex(256, 32).slice(2) + data.slice(10 + 4 * 64);
      await assert.rejects(chain.provider.call({ to, data: dirty }));
    });
  });

  describe('has coefficients that nobody can choose', () => {
    /** Known coefficients instead of powers of the hash: what the attacks below succeed against. */
    let weak: BaseContract;
    const WEAK_CHALLENGE = 7n;

    const challengeOf = (claims: Claim[]) => {
      const encoded = AbiCoder.defaultAbiCoder().encode(
        [CLAIMS_TYPE],
        [claims.map(({ circuit, proof, signals }) => [circuit, proof, signals])],
      );
      return BigInt(keccak256(encoded)) % FIELD_MODULUS;
    };

    before(async () => {
      const source = readFileSync(VERIFIER, 'utf8');
      const hash = 'uint256(keccak256(abi.encode(claims))) % P';
      assert.ok(source.includes(hash));
      weak = await chain.deploy(
        compile(VERIFIER, 'Verifier', {
          [KEYS]: sources.development,
          [VERIFIER]: source.replace(hash, String(WEAK_CHALLENGE)),
        }),
      );
    });

    /** Each makes two claims false so that their errors cancel where the second one's coefficient is r times the first one's. */
    const attacks: Record<string, (first: Claim, second: Claim, r: bigint) => Promise<void>> = {
      'errors in C that cancel': async (first, second, r) => {
        const error = await multiply([1n, 2n], 11n);
        first.proof.splice(6, 2, ...(await add(first.proof.slice(6), await multiply(error, r))));
        second.proof.splice(6, 2, ...(await add(second.proof.slice(6), await multiply(error, -1n))));
      },
      'errors in A that cancel': async (first, second, r) => {
        const error = await multiply([1n, 2n], 13n);
        first.proof.splice(0, 2, ...(await add(first.proof.slice(0, 2), await multiply(error, r))));
        second.proof.splice(0, 2, ...(await add(second.proof.slice(0, 2), await multiply(error, -1n))));
      },
      'errors in a signal that cancel': (first, second, r) => {
        first.signals[3] = mod((first.signals[3] as bigint) + r, FIELD_MODULUS);
        second.signals[3] = mod((second.signals[3] as bigint) - 1n, FIELD_MODULUS);
        return Promise.resolve();
      },
    };

    for (const [name, attack] of Object.entries(attacks)) {
      it(`${name} are refused`, async () => {
        // One proof twice: errors in A cancel under one B.
        const pair = () => [claim(transfers, 0), claim(transfers, 0)] as [Claim, Claim];
        const known = pair();
        await attack(...known, WEAK_CHALLENGE);
        assert.equal(await outcome(known, weak), 'true', 'the attack does not work at all');
        assert.equal(await outcome(known), 'false');

        for (const guess of [1n, challengeOf(pair()), challengeOf(known)]) {
          const claims = pair();
          await attack(...claims, guess);
          assert.equal(await outcome(claims), 'false');
          assert.equal(await outcome([...claims, claim(insertions, 0)]), 'false');
        }
      });
    }

    it('errors in L that cancel across circuits are refused', async () => {
      // gamma is shared, so the constant points of both circuits meet in one sum: exchanging claims must not go unseen.
      const [transfer, insertion] = [claim(transfers, 0), claim(insertions, 0)];
      transfer.signals[0] = mod((transfer.signals[0] as bigint) + 1n, FIELD_MODULUS);
      insertion.signals[0] = mod((insertion.signals[0] as bigint) - 1n, FIELD_MODULUS);
      assert.equal(await outcome([transfer, insertion]), 'false');
    });
  });

  describe('is deployed', () => {
    it('within the size of one contract', async () => {
      const code = await chain.provider.getCode(await verifier.getAddress());
      assert.ok((code.length - 2) / 2 <= CONTRACT_BYTES_MAX);
    });

    it('with development keys on development chains only', async () => {
      for (const chainId of [1, 10, 11155111]) {
        const other = await openChain({ chainId });
        try {
          await assert.rejects(other.deploy(compiled), (error: unknown) => {
            assert.ok(isError(error, 'CALL_EXCEPTION'));
            assert.equal(error.data, verifier.interface.encodeErrorResult('DevelopmentKey', [chainId]));
            return true;
          });
        } finally {
          await other.close();
        }
      }
      const local = await openChain({ chainId: 1337 });
      assert.equal(await call([claim(all, 0)], await local.deploy(compiled)), true);
      await local.close();
    });

    it('with the keys of a ceremony on any chain', async () => {
      const production = compile(VERIFIER, 'Verifier', { [KEYS]: sources.production });
      const other = await openChain({ chainId: 1 });
      assert.equal(await call(all, await other.deploy(production)), true);
      await other.close();
    });
  });

  describe('keeps to its gas for', () => {
    async function gasOf(claims: Claim[]): Promise<bigint> {
      const data = verifier.interface.encodeFunctionData('verify', [claims]);
      const transaction = await chain.signer().sendTransaction({ to: await verifier.getAddress(), data });
      const receipt = await transaction.wait();
      assert.equal(receipt?.status, 1);
      return executionGas(receipt.gasUsed, data);
    }

    it('one transfer', async () => expectGas('verify.transfer1', await gasOf([claim(transfers, 1)])));
    it('one insertion, the first of a tree', async () =>
      expectGas('verify.insertion1.first', await gasOf([claim(insertions, 0)])));
    it('one insertion', async () => expectGas('verify.insertion1', await gasOf([claim(insertions, 1)])));
    it('two transfers', async () =>
      expectGas('verify.transfer2', await gasOf([claim(transfers, 1), claim(transfers, 2)])));
    it('three transfers and two insertions', async () =>
      expectGas('verify.transfer3.insertion2', await gasOf([...transfers, ...insertions])));
  });
});
