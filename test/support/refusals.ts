import assert from 'node:assert/strict';
import { POOL_ABI, REGISTRY_ABI, VERIFIER_ABI } from '@bitcloak/chain/generated/abi';
import type { Call } from '@bitcloak/chain/pool';
import { Interface, isCallException, toBeHex, toQuantity } from 'ethers';
import type { Chain } from './chain.ts';
import type { PoolBench } from './pool.ts';

const known = new Interface([...POOL_ABI, ...VERIFIER_ABI, ...REGISTRY_ABI]);

/** More than any call needs, so that no refusal is one of gas. */
const GAS = 3_000_000;

/** What `outcome` says of a call that goes through. */
export const ACCEPTED = 'accepted';
/** What is said of a revert without data: that of the decoder of calldata. */
export const NO_DATA = 'no data';

/** A revert as `Name(values)`; its data where nobody knows the error. */
export function describeRevert(data: string): string {
  if (data === '0x') return NO_DATA;
  const error = known.parseError(data);
  return error === null ? data : `${error.name}(${[...error.args].map(String).join(', ')})`;
}

/** What a call would come to now, without a block: for the many that differ in one word. */
export async function outcome(chain: Chain, call: Call, from = chain.signer().address): Promise<string> {
  try {
    await chain.provider.call({ ...call, from });
    return ACCEPTED;
  } catch (error) {
    if (!isCallException(error)) throw error;
    const data = error.data ?? revertData(error.info);
    if (data === undefined) throw error;
    return describeRevert(data);
  }
}

/** Everything that contracts store and have: equal where nothing has changed. */
export async function stateOf(chain: Chain, contracts: readonly string[]): Promise<string> {
  const proofs = await Promise.all(
    contracts.map((contract) => chain.provider.send('eth_getProof', [contract, [], 'latest'])),
  );
  return JSON.stringify(
    (proofs as { storageHash: string; balance: string }[]).map(({ storageHash, balance }) => ({
      storageHash,
      balance,
    })),
  );
}

/** What a call or transaction reverted with: Hardhat's chain wraps it up where it does not recognise the error. */
function revertData(error: unknown): string | undefined {
  const data = (error as { error?: { data?: unknown } } | undefined)?.error?.data;
  const inner = typeof data === 'object' && data !== null && 'data' in data ? data.data : data;
  return typeof inner === 'string' ? inner : undefined;
}

/** Puts a call into a block and returns what it reverted with, as `describeRevert` says it. */
async function refusalInBlock(chain: Chain, call: Call, from: string): Promise<string> {
  const transaction = { from, to: call.to, data: call.data, value: toQuantity(call.value), gas: toQuantity(GAS) };
  try {
    await chain.provider.send('eth_sendTransaction', [transaction]);
  } catch (error) {
    const data = revertData(error);
    if (data === undefined) throw error;
    const block = (await chain.provider.send('eth_getBlockByNumber', ['latest', false])) as { transactions: string[] };
    const receipt = await chain.provider.getTransactionReceipt(block.transactions.at(-1) ?? '');
    assert.equal(receipt?.status, 0, 'the refused call is in the newest block');
    return describeRevert(data);
  }
  return ACCEPTED;
}

/** A call is refused in a block with exactly this error, and nothing that the pool (or `also`) stores or has is changed. */
export async function expectRefused(
  bench: PoolBench,
  call: Call,
  expected: string,
  { from = bench.chain.signer().address, also = [] }: { from?: string; also?: readonly string[] } = {},
): Promise<void> {
  const contracts = [toBeHex(bench.address, 20), ...also];
  const before = await stateOf(bench.chain, contracts);
  assert.equal(await refusalInBlock(bench.chain, call, from), expected);
  assert.equal(await stateOf(bench.chain, contracts), before, 'a refused call changed something');
}
