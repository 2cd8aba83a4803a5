import process from 'node:process';
import { formatAddress } from '@bitcloak/notes/address';
import { ViewingKey } from '@bitcloak/notes/keys';
import { newMnemonic, normalizeMnemonic } from '@bitcloak/notes/mnemonic';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { Wallet } from '@bitcloak/wallet/wallet';
import { readTextFile, type Context } from '../context.ts';
import { amountJson, amountText, tokenJson } from '../format.ts';
import { COMMAND, userPath } from '../invocation.ts';
import { fields, type Result } from '../output.ts';
import { askLine, canAsk, readInput } from '../prompts.ts';
import { publicBalance } from '../tokens.ts';

const PHRASE_WARNING =
  'Write the recovery phrase down and keep it off this machine. Whoever has it has the funds; without it and without this\n' +
  'wallet file with its passphrase they are lost. It is not shown again.';

export async function newWallet(context: Context): Promise<Result> {
  refuseExisting(context);
  if (context.options.json !== true && !process.stdout.isTTY) {
    const message = 'the recovery phrase is shown on a terminal only; with --json it is part of the output';
    throw new BitcloakError('USAGE', message);
  }
  const mnemonic = newMnemonic();
  const wallet = await createWallet(context, { mnemonic });
  const { json, entries } = describe(context, wallet);
  const words = mnemonic.split(' ').map((word, index) => `${String(index + 1).padStart(2)} ${word.padEnd(9)}`);
  const lines = [0, 6, 12, 18].map((first) => `  ${words.slice(first, first + 6).join(' ')}`.trimEnd());
  const text = `${fields(entries)}\n\n${lines.join('\n')}\n\n${PHRASE_WARNING}`;
  return { json: { ...json, recoveryPhrase: mnemonic }, text };
}

export async function restoreWallet(context: Context, options: { phraseFile?: string }): Promise<Result> {
  refuseExisting(context);
  const mnemonic = normalizeMnemonic(await readSecret(options.phraseFile, 'Recovery phrase'));
  return created(context, await createWallet(context, { mnemonic }));
}

export async function watchWallet(context: Context, options: { viewingKeyFile?: string }): Promise<Result> {
  refuseExisting(context);
  const viewingKey = (await readSecret(options.viewingKeyFile, 'Viewing key')).trim();
  // Before anybody thinks of a passphrase.
  ViewingKey.parse(viewingKey);
  return created(context, await createWallet(context, { viewingKey }));
}

export async function showAddress(context: Context): Promise<Result> {
  const address = formatAddress((await context.openWallet()).address);
  return { json: { address }, text: address };
}

export async function showAccount(context: Context): Promise<Result> {
  const manifest = await context.manifest();
  const account = (await context.openWallet()).account().address;
  const endpoint = await context.endpoint();
  const balances = await Promise.all(
    manifest.tokens.map(async (token) => ({
      token,
      value: await publicBalance(endpoint, token.asset, BigInt(account)),
    })),
  );
  return {
    json: {
      account,
      balances: balances.map(({ token, value }) => ({ token: tokenJson(token), balance: amountJson(value, token) })),
    },
    text: [account, ...balances.map(({ token, value }) => amountText(value, token))].join('\n'),
  };
}

export async function exportViewingKey(context: Context): Promise<Result> {
  const viewingKey = (await context.openWallet()).exportViewingKey();
  context.progress.warn(
    'WARNING: whoever has this key sees every note and payment of the wallet, past and to come. It spends nothing.',
  );
  return { json: { viewingKey }, text: viewingKey };
}

function refuseExisting(context: Context): void {
  const directory = context.walletDirectory;
  if (!Wallet.exists(directory)) return;
  throw new BitcloakError(
    'WALLET_EXISTS',
    `there is a wallet at ${directory} already; name another place with --wallet`,
  );
}

async function createWallet(context: Context, secret: { mnemonic: string } | { viewingKey: string }): Promise<Wallet> {
  return Wallet.create(context.walletDirectory, secret, await context.passphrase({ isNew: true }));
}

function created(context: Context, wallet: Wallet): Result {
  const { json, entries } = describe(context, wallet);
  return { json, text: `${fields(entries)}\n\n${COMMAND} wallet balance finds on the chain what it holds.` };
}

function describe(context: Context, wallet: Wallet) {
  const address = formatAddress(wallet.address);
  const account = wallet.watchOnly ? undefined : wallet.account().address;
  const entries: [string, string][] = [
    ['wallet', context.walletDirectory],
    ['shielded address', address],
    ['public account', account ?? 'none: this wallet sees, and cannot spend'],
  ];
  return { json: { wallet: context.walletDirectory, address, account: account ?? null }, entries };
}

/** A secret from a file, else from a prompt, else from standard input. Other users can see command lines, so never from there. */
async function readSecret(file: string | undefined, what: string): Promise<string> {
  if (file !== undefined) return readTextFile(userPath(file));
  if (canAsk()) return askLine(`${what}: `, { hidden: true });
  return readInput();
}
