import assert from 'node:assert/strict';
import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { buildPoseidon, type Poseidon } from 'circomlibjs';
import type { BaseContract } from 'ethers';
import fc from 'fast-check';
import { openChain, type Chain } from '../support/chain.ts';
import { executionGas, expectGas } from '../support/gasSnapshot.ts';

const RUNS = 500;
const CONTRACT_BYTES_MAX = 24_576;

describe('Poseidon3', () => {
  let chain: Chain;
  let contract: BaseContract;
  let poseidon: Poseidon;

  const reference = (inputs: readonly bigint[]) => poseidon.F.toObject(poseidon(inputs));
  const onChain = async (inputs: readonly bigint[]) => (await contract.getFunction('hash')(...inputs)) as bigint;

  before(async () => {
    poseidon = await buildPoseidon();
    chain = await openChain();
    contract = await chain.deploy('Poseidon3');
  });
  after(() => chain.close());

  it('is what circomlibjs gives at the edges of the field', async () => {
    const edges = [0n, 1n, 1n << 120n, (1n << 253n) + 1n, FIELD_MODULUS - 1n];
    for (const a of edges) {
      for (const b of edges) {
        for (const c of edges) assert.equal(await onChain([a, b, c]), reference([a, b, c]), `hash(${a}, ${b}, ${c})`);
      }
    }
  });

  it(`is what circomlibjs gives for ${RUNS} random inputs`, async () => {
    const element = fc.bigInt({ min: 0n, max: FIELD_MODULUS - 1n });
    const property = fc.asyncProperty(fc.tuple(element, element, element), async (inputs) => {
      assert.equal(await onChain(inputs), reference(inputs));
    });
    await fc.assert(property, { seed: 20261121, numRuns: RUNS });
  });

  it('depends on the order of its inputs', async () => {
    assert.notEqual(await onChain([1n, 2n, 3n]), await onChain([3n, 2n, 1n]));
  });

  it('fits into one contract and keeps to its gas', async () => {
    const code = await chain.provider.getCode(await contract.getAddress());
    assert.ok((code.length - 2) / 2 <= CONTRACT_BYTES_MAX);

    const data = contract.interface.encodeFunctionData('hash', [1n, 2n, FIELD_MODULUS - 1n]);
    const transaction = await chain.signer().sendTransaction({ to: await contract.getAddress(), data });
    const receipt = await transaction.wait();
    assert.ok(receipt !== null);
    expectGas('poseidon3', executionGas(receipt.gasUsed, data));
  });
});
