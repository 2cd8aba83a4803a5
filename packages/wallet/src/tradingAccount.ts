import type { Endpoint } from '@bitcloak/chain/endpoint';
import type { Manifest } from '@bitcloak/chain/manifest';
import { callError } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { TradingClient, type ClientOptions, type Proceeds } from '@bitcloak/trading/client';
import type { OperatorInfo } from '@bitcloak/trading/wire';
import type { TradeBook } from './tradingBook.ts';
import type { WalletKeys } from './walletKeys.ts';

/** An operator by its number in the registry, as the chain knows it, and one of a wallet's trading accounts with it. */
export type TradingAccount = { readonly number: number; readonly operatorId: bigint; readonly index: number };

export type AccountAccess = {
  readonly keys: WalletKeys;
  readonly account: TradingAccount;
  readonly manifest: Manifest;
  readonly endpoint: Endpoint;
  /** Base URL of the operator's API. */
  readonly url: string;
  /** Where orders are kept before they are sent; without it nothing can be signed. */
  readonly book?: TradeBook;
  readonly proceeds?: Proceeds;
};

/**
 * What a client of an operator needs of a wallet. The operator is taken for the right one as long as the registry holds its keys, and time is that
 * of the wallet's own endpoint.
 */
export function accountOptions(access: AccountAccess): ClientOptions {
  const { keys, account, manifest, endpoint, url, book, proceeds } = access;
  const { operatorId, index } = account;
  const registry = new RegistryClient(manifest.registry, endpoint);
  return {
    url,
    key: keys.keyring().tradingAccount(operatorId, index),
    expected: { operatorId },
    check: (info) => checkOperator(manifest, account, registry, info),
    tokens: manifest.tokens,
    clock: () => blockTime(endpoint),
    ...(proceeds === undefined ? {} : { proceeds }),
    keep: (order) => {
      if (book === undefined) throw new BitcloakError('USAGE', 'an order is signed where none is kept');
      book.add(index, order);
    },
  };
}

export function connectAccount(access: AccountAccess): Promise<TradingClient> {
  return TradingClient.connect(accountOptions(access));
}

async function blockTime(endpoint: Endpoint): Promise<number> {
  const block = await endpoint.getBlock('latest').catch((error: unknown) => {
    throw callError(error);
  });
  return block?.timestamp ?? 0;
}

/** Throws `OPERATOR_MISMATCH` unless the registry holds the keys that an operator names, active now. */
async function checkOperator(
  { chainId, pool, registry: registryAddress, startBlock }: Manifest,
  { number }: TradingAccount,
  registry: RegistryClient,
  info: OperatorInfo,
): Promise<void> {
  const isSame =
    info.chainId === chainId && info.pool === pool && info.registry === registryAddress && info.operator === number;
  if (!isSame) {
    throw new BitcloakError('OPERATOR_MISMATCH', 'this is another operator, or one of another chain, pool or registry');
  }
  const era = await registry.activeEra(number, info.era, startBlock);
  if (era === undefined) {
    throw new BitcloakError('OPERATOR_MISMATCH', `era ${info.era}: the registry holds no active keys of it`);
  }
  const differs = (['encryptionKey', 'apiKey'] as const).some((key) => Buffer.compare(era[key], info[key]) !== 0);
  if (!differs) return;
  throw new BitcloakError('OPERATOR_MISMATCH', `era ${info.era}: the operator's keys are not those of the registry`);
}
