import { Erc20 } from '@bitcloak/chain/erc20';
import { formatAccount } from '@bitcloak/chain/manifest';
import { callError, sendCall, type PoolClient } from '@bitcloak/chain/pool';
import type { Raising } from '@bitcloak/chain/replacement';
import { stealthOf } from '@bitcloak/notes/note';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { checkAmount } from '@bitcloak/protocol/amounts';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { Contract, Interface, isError, type HDNodeWallet, type Provider } from 'ethers';
import { raisingOf } from './raising.ts';
import { lockedOutput, type LockRequest } from './transfers.ts';
import type { Outcome, Stage } from './types.ts';
import type { WalletKeys } from './walletKeys.ts';

export type DepositRequest = {
  readonly asset: bigint;
  readonly amount: bigint;
  readonly lock?: LockRequest | undefined;
};

type Context = { keys: WalletKeys; pool: PoolClient; provider: Provider; signer: HDNodeWallet; blockTime: bigint };

const token = new Interface([
  'function allowance(address, address) view returns (uint256)',
  'function approve(address, uint256)',
]);

/** Lets the pool take exactly `amount` of a token. Some tokens change an allowance from 0 only. */
async function approve({ pool, signer }: Context, asset: bigint, amount: bigint, raising: Raising): Promise<void> {
  const spender = formatAccount(pool.address);
  const to = formatAccount(asset);
  let allowed: bigint;
  try {
    const contract = new Contract(to, token, signer);
    allowed = (await contract.getFunction('allowance').staticCall(signer.address, spender)) as bigint;
  } catch (error) {
    const failure = callError(error);
    // An address without code answers with no data at all.
    if (failure.code !== 'TRANSACTION_FAILED' && !isError(error, 'BAD_DATA')) throw failure;
    throw new BitcloakError('ASSET_INVALID', `${to} is no ERC-20 on this chain`, { cause: error });
  }
  if (allowed >= amount) return;
  const grants = allowed === 0n ? [amount] : [0n, amount];
  for (const grant of grants) {
    await sendCall(signer, { to, data: token.encodeFunctionData('approve', [spender, grant]), value: 0n }, raising);
  }
}

/** Throws `BALANCE_INSUFFICIENT` before gas is paid for an approval that is of no use. */
async function checkBalance({ provider, signer }: Context, asset: bigint, amount: bigint): Promise<void> {
  const balance = await new Erc20(asset, provider).balanceOf(BigInt(signer.address));
  if (balance === undefined || balance >= amount) return;
  const message = `the public account ${signer.address} holds ${balance} base units of the token, and ${amount} are needed`;
  throw new BitcloakError('BALANCE_INSUFFICIENT', message);
}

/** Makes a note out of public funds. Nothing is proven: the pool computes the commitment itself. */
export async function deposit(
  context: Context,
  { asset, amount, lock }: DepositRequest,
  onStage?: (stage: Stage) => void,
): Promise<Outcome> {
  const { keys, pool, signer, blockTime } = context;
  checkAmount(amount);
  if ((await pool.queue()).depositsPaused) {
    throw new BitcloakError('DEPOSITS_PAUSED', 'the guardian has paused deposits; sending and withdrawing go on');
  }
  const maker = new OutputMaker(asset);
  const { address, viewing } = keys;
  const note =
    lock === undefined
      ? maker.plain(amount, address)
      : maker.locked(amount, lockedOutput(viewing, lock, blockTime), address.viewingKey);
  if (asset !== NATIVE_ASSET) {
    onStage?.('approving');
    await checkBalance(context, asset, amount);
    await approve(context, asset, amount, raisingOf(onStage));
  }
  const call = pool.depositCall(asset, amount, stealthOf(note), maker.ciphertext());
  onStage?.('simulating');
  const refusal = await pool.simulate(call, signer.address);
  if (refusal !== undefined) throw refusal;
  onStage?.('sending');
  const receipt = await pool.send(call, raisingOf(onStage));
  return { transaction: receipt.hash, block: receipt.blockNumber, gasUsed: receipt.gasUsed, fee: 0n, proofMs: 0 };
}
