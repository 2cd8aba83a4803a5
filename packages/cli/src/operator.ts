import { readTrust, type Trust } from '@bitcloak/attestation/trust';
import type { Manifest, Token } from '@bitcloak/chain/manifest';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { ACCOUNT_INDEX_MAX } from '@bitcloak/notes/keys';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { TradingClient, type Proceeds } from '@bitcloak/trading/client';
import type { Session } from '@bitcloak/wallet/session';
import { accountOptions, trustOf, type TradingAccount } from '@bitcloak/wallet/tradingAccount';
import { readTextFile, type Context } from './context.ts';
import { userPath } from './invocation.ts';
import { parseCount, parseUrl } from './parse.ts';

export type OperatorOptions = {
  readonly operatorUrl?: string;
  readonly operatorNumber?: string;
  /** Of the trading account. */
  readonly index?: string;
  /** Path of a file that says which enclaves are trusted. */
  readonly trust?: string;
};

/** Which operator and account are meant; read before anybody is asked for a passphrase. */
export function readAccount(manifest: Manifest, { operatorNumber, index }: OperatorOptions): TradingAccount {
  const number =
    operatorNumber === undefined
      ? manifest.operator?.number
      : parseCount(operatorNumber, '--operator-number', 1, Number.MAX_SAFE_INTEGER);
  if (number === undefined) {
    throw new BitcloakError('USAGE', 'operator: the manifest names none, so --operator-number N is needed');
  }
  const operatorId = operatorIdOf(manifest.chainId, manifest.pool, manifest.registry, number);
  return { number, operatorId, index: index === undefined ? 0 : parseCount(index, '--index', 0, ACCOUNT_INDEX_MAX) };
}

export function readOperatorUrl(manifest: Manifest, { operatorUrl }: OperatorOptions): string {
  if (operatorUrl !== undefined) return parseUrl(operatorUrl, '--operator-url');
  const url = manifest.operator?.url;
  if (url !== undefined) return url;
  throw new BitcloakError('USAGE', 'operator: the manifest names no URL, so --operator-url URL is needed');
}

/** Which enclaves are spoken to: those of the file that is named, else those of the manifest. Throws `USAGE`. */
export function readOperatorTrust(manifest: Manifest, { trust }: OperatorOptions): Trust {
  if (trust === undefined) return trustOf(manifest);
  const text = readTextFile(userPath(trust));
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new BitcloakError('USAGE', `trust: expected JSON in ${trust}`, { cause: error });
  }
  return readTrust(json);
}

/** Everything that is needed to reach an operator; read before anybody is asked for a passphrase. Throws `USAGE`. */
export function readOperator(
  manifest: Manifest,
  options: OperatorOptions,
): { readonly account: TradingAccount; readonly url: string; readonly trust: Trust } {
  const account = readAccount(manifest, options);
  return { account, url: readOperatorUrl(manifest, options), trust: readOperatorTrust(manifest, options) };
}

type Connecting = {
  /** Keeps the orders that are signed; without one nothing is to be signed. */
  readonly session?: Session;
  readonly proceeds?: Proceeds;
  /** Whether what is asked needs no account. */
  readonly onlyLooks?: boolean;
};

/** A client of the operator, whose enclave has been found to be a trusted one, with keys that the registry holds. */
export async function connectOperator(
  context: Context,
  options: OperatorOptions,
  { session, proceeds, onlyLooks = false }: Connecting = {},
): Promise<TradingClient> {
  const manifest = await context.manifest();
  const client = accountOptions({
    ...readOperator(manifest, options),
    manifest,
    keys: await context.openWallet(),
    endpoint: await context.endpoint(),
    ...(session === undefined ? {} : { book: session.tradeBook }),
    ...(proceeds === undefined ? {} : { proceeds }),
  });
  return onlyLooks ? TradingClient.look(client) : TradingClient.connect(client);
}

export type ProceedsOptions = { readonly relock?: true };

/** Where proceeds go, if they are to be traded again; else they become notes of the wallet. */
export function readProceeds(
  session: Session,
  { operatorId, index }: TradingAccount,
  { relock }: ProceedsOptions,
): { readonly proceeds?: Proceeds } {
  if (relock !== true) return {};
  const end = session.lockEnd(operatorId, index);
  if (end !== undefined && end > session.blockTime) return { proceeds: { relockUntil: end } };
  throw new BitcloakError('LOCK_INVALID', 'relock: the trading account has no note whose lock could be gone on with');
}

/** Throws `ASSET_INVALID` for what no operator could have a market of here: only tokens of the manifest are traded. */
export function tradedToken(manifest: Manifest, text: string): Token {
  const token = manifest.tokens.find(({ symbol }) => symbol.toLowerCase() === text.toLowerCase());
  if (token !== undefined) return token;
  const symbols = manifest.tokens.map(({ symbol }) => symbol).join(', ');
  throw new BitcloakError('ASSET_INVALID', `token: expected one of ${symbols}, got ${text}`);
}
