import { readTrust, type Trust } from '@bitcloak/attestation/trust';
import { checkBlockTime } from '@bitcloak/chain/clock';
import type { Endpoint } from '@bitcloak/chain/endpoint';
import type { Manifest } from '@bitcloak/chain/manifest';
import { callError } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import { payeeIndexOf } from '@bitcloak/notes/keys';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { TradingClient, type ClientOptions, type Proceeds } from '@bitcloak/trading/client';
import { enclaveCheck, type ExpectedOperator } from '@bitcloak/trading/enclaveCheck';
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
  /** Which enclaves are spoken to; those of the manifest unless given. */
  readonly trust?: Trust;
  /** Where orders are kept before they are sent; without it nothing can be signed. */
  readonly book?: TradeBook;
  readonly proceeds?: Proceeds;
};

/**
 * What a client of an operator needs of a wallet. The client speaks to an enclave that is trusted and whose keys the registry holds, and to nothing
 * else; registry and time are those of the wallet's own endpoint. Throws `USAGE` where nobody says which enclaves to trust.
 */
export function accountOptions(access: AccountAccess): ClientOptions {
  const { keys, account, manifest, endpoint, url, book, proceeds } = access;
  const { operatorId, index } = account;
  const registry = new RegistryClient(manifest.registry, endpoint);
  const { owner: payee } = keys.viewing.tradingAccount(operatorId, payeeIndexOf(index));
  return {
    url,
    key: keys.keyring().tradingAccount(operatorId, index),
    expected: { operatorId },
    check: enclaveCheck({
      trust: access.trust ?? trustOf(manifest),
      expected: expectedOperator(manifest, account.number),
      era: (number) => registry.activeEra(account.number, number, manifest.startBlock),
    }),
    tokens: manifest.tokens,
    clock: () => blockTime(manifest.chainId, endpoint),
    payee,
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

async function blockTime(chainId: bigint, endpoint: Endpoint): Promise<number> {
  const block = await endpoint.getBlock('latest').catch((error: unknown) => {
    throw callError(error);
  });
  const timestamp = block?.timestamp ?? 0;
  checkBlockTime(chainId, timestamp);
  return timestamp;
}

/** Which enclaves a network's manifest trusts. Throws `USAGE` where it says nothing of that, or nothing that can be meant. */
export function trustOf({ operator }: Manifest): Trust {
  if (operator?.trust !== undefined) return readTrust(operator.trust);
  throw new BitcloakError(
    'USAGE',
    'trust: the manifest does not say which enclaves to trust, so --trust FILE is needed',
  );
}

/** An operator where a network's manifest has it. */
export function expectedOperator({ chainId, pool, registry }: Manifest, operator: number): ExpectedOperator {
  return { chainId, pool, registry, operator };
}
