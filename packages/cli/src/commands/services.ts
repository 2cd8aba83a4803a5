import process from 'node:process';
import type { Endpoint } from '@bitcloak/chain/endpoint';
import { mintCall } from '@bitcloak/chain/erc20';
import { formatAccount, type Manifest, type Token } from '@bitcloak/chain/manifest';
import { PoolClient, sendCall } from '@bitcloak/chain/pool';
import { formatAddress } from '@bitcloak/notes/address';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { DEVELOPMENT_CHAIN_IDS, NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { runKeeper, type KeeperReport } from '@bitcloak/wallet/keeper';
import { raisingOf } from '@bitcloak/wallet/raising';
import { relayerInfo } from '@bitcloak/wallet/relayerClient';
import type { Wait } from '@bitcloak/wallet/types';
import type { Wallet } from '@bitcloak/wallet/wallet';
import type { Context } from '../context.ts';
import { amountJson, amountText, tokenJson, waitJson, waitText } from '../format.ts';
import { COMMAND } from '../invocation.ts';
import { fields, table, type Json, type Result } from '../output.ts';
import { parseSeconds, parseUrl } from '../parse.ts';
import { formatDuration } from '../time.ts';

/** What the faucet gives, in whole units. */
const FAUCET_NATIVE = 100n;
const FAUCET_TOKENS = 10_000n;

const KEEPER_POLL_MS = 2_000;
/** How long a bucket may stay open: inserting it costs much the same with one leaf as with 64. */
const CLOSE_AFTER_SECONDS = 300n;

type Account = ReturnType<Wallet['account']>;
type Signer = Parameters<typeof sendCall>[0];

/** Gas and test tokens on a development chain. */
export async function faucet(context: Context): Promise<Result> {
  const manifest = await context.manifest();
  if (!(DEVELOPMENT_CHAIN_IDS as readonly bigint[]).includes(manifest.chainId)) {
    const message = `the faucet is for development chains (${DEVELOPMENT_CHAIN_IDS.join(', ')}); this one has id ${manifest.chainId}`;
    throw new BitcloakError('DEVELOPMENT_ONLY', message);
  }
  const wallet = (await context.openWallet()).account();
  const endpoint = await context.endpoint();
  const given = manifest.tokens.map((token) => ({ token, amount: faucetAmount(token) }));
  const payer = await giveGas(endpoint, wallet, faucetAmount(manifest.tokens[0] as Token));
  for (const { token, amount } of given) {
    if (token.asset === NATIVE_ASSET) continue;
    await sendCall(payer, mintCall(token.asset, BigInt(wallet.address), amount));
  }
  return {
    json: {
      account: wallet.address,
      given: given.map(({ token, amount }) => ({ token: tokenJson(token), amount: amountJson(amount, token) })),
    },
    text:
      `${wallet.address} received ${given.map(({ token, amount }) => amountText(amount, token)).join(' and ')}\n` +
      `Next: ${COMMAND} deposit 1 ${manifest.tokens[0]?.symbol ?? ''}`,
  };
}

function faucetAmount({ asset, decimals }: Token): bigint {
  return (asset === NATIVE_ASSET ? FAUCET_NATIVE : FAUCET_TOKENS) * 10n ** BigInt(decimals);
}

/** From the node's own unlocked account, else by setting the balance, which only development nodes do. Returns who can pay for more. */
async function giveGas(endpoint: Endpoint, wallet: Account, amount: bigint): Promise<Signer> {
  // A node without accounts of its own need not know the question.
  const [unlocked] = await endpoint.listAccounts().catch(() => []);
  if (unlocked !== undefined) {
    await sendCall(unlocked, { to: wallet.address, data: '0x', value: amount });
    return unlocked;
  }
  const balance = (await endpoint.getBalance(wallet.address)) + amount;
  try {
    await endpoint.send('hardhat_setBalance', [wallet.address, `0x${balance.toString(16)}`]);
  } catch (error) {
    const message = 'the node has no unlocked account and does not set balances: it is no development node';
    throw new BitcloakError('DEVELOPMENT_ONLY', message, { cause: error });
  }
  return wallet.connect(endpoint);
}

export async function keeper(context: Context, options: { once?: true; closeAfter?: string }): Promise<Result> {
  const once = options.once === true;
  const unlessGiven = once ? 0n : CLOSE_AFTER_SECONDS;
  const closeAfterSeconds =
    options.closeAfter === undefined ? unlessGiven : parseSeconds(options.closeAfter, 'close-after');
  const manifest = await context.manifest();
  const signer = (await context.openWallet()).account();
  const endpoint = await context.endpoint();
  const prover = await context.prover();
  const totals = new KeeperTotals();
  if (!once) context.progress.note(keeperHead(manifest, signer.address, closeAfterSeconds));
  await context.untilInterrupted((signal) =>
    runKeeper({
      pool: manifest.pool,
      endpoint,
      signer: signer.connect(endpoint),
      startBlock: manifest.startBlock,
      prover,
      closeAfterSeconds,
      pollMs: KEEPER_POLL_MS,
      once,
      ...raisingOf(context.progress.stage),
      signal,
      report: (report) => {
        totals.add(report);
        say(context, report);
      },
    }),
  );
  const open = await openBucket(new PoolClient(manifest.pool, endpoint), endpoint);
  return {
    json: { ...totals.json(), openBucket: open === undefined ? null : waitJson(open) },
    text: [totals.text(), ...(open === undefined ? [] : [`Still open: ${waitText(open)}.`])].join('\n'),
  };
}

/** How the bucket that takes leaves stands, where it has any. */
async function openBucket(pool: PoolClient, endpoint: Endpoint): Promise<Wait | undefined> {
  const { openBucket: bucket, openLeaves: leaves, openedAt, nextInsertion } = await pool.queue();
  const head = await endpoint.getBlock('latest');
  if (leaves === 0 || head === null) return undefined;
  const left = openedAt + (await pool.bucketAge()) - BigInt(head.timestamp);
  return {
    bucket,
    leaves,
    closed: false,
    bucketsBefore: bucket - nextInsertion,
    closableInSeconds: left > 0n ? left : 0n,
  };
}

function keeperHead({ name, pool }: Manifest, account: string, closeAfterSeconds: bigint): string {
  const after = formatDuration(closeAfterSeconds);
  return `Keeper of the pool ${formatAccount(pool)} on ${name}, paid by ${account}, from which nothing else should be sent; closes buckets after ${after}. Ctrl-C ends it.`;
}

function say(context: Context, report: KeeperReport): void {
  const line = reportLine(report);
  if (report.kind === 'failed') context.progress.warn(line);
  else if (context.options.json === true) context.progress.note(line);
  else if (context.options.quiet !== true) process.stdout.write(`${line}\n`);
}

function reportLine(report: KeeperReport): string {
  switch (report.kind) {
    case 'closed':
      return `closed bucket ${report.bucket} with ${report.leaves} leaves, transaction ${report.transaction}`;
    case 'inserted': {
      const { bucket, leaves, transaction, gasUsed, proofMs } = report;
      const seconds = (proofMs / 1000).toFixed(1);
      return `inserted bucket ${bucket} with ${leaves} leaves, ${gasUsed} gas, proof in ${seconds} s, transaction ${transaction}`;
    }
    case 'failed':
      return `${report.code}: ${report.message}`;
  }
}

class KeeperTotals {
  #closed = 0;
  #inserted = 0;
  #leaves = 0;
  #failures = 0;
  #gasUsed = 0n;

  add(report: KeeperReport): void {
    if (report.kind === 'failed') {
      this.#failures++;
      return;
    }
    this.#gasUsed += report.gasUsed;
    if (report.kind === 'closed') {
      this.#closed++;
      return;
    }
    this.#inserted++;
    this.#leaves += report.leaves;
  }

  json(): { [field: string]: Json } {
    return {
      closed: this.#closed,
      inserted: this.#inserted,
      leaves: this.#leaves,
      gasUsed: this.#gasUsed.toString(),
      failures: this.#failures,
    };
  }

  text(): string {
    if (this.#closed + this.#inserted === 0) return 'Nothing was to be closed or inserted.';
    const buckets = (count: number) => `${count} ${count === 1 ? 'bucket' : 'buckets'}`;
    return `${buckets(this.#closed)} closed, ${buckets(this.#inserted)} inserted with ${this.#leaves} leaves.`;
  }
}

export async function showRelayer(context: Context, urlText: string | undefined): Promise<Result> {
  const url = urlText === undefined ? (await context.manifest()).relayer : parseUrl(urlText, 'relayer');
  if (url === undefined) throw new BitcloakError('USAGE', 'relayer: the manifest names none, so a URL is needed');
  const info = await relayerInfo(url);
  const { chainId, pool, name } = await context.manifest();
  if (info.chainId !== chainId || info.pool !== pool) {
    context.progress.warn(`WARNING: this relayer serves another chain or pool than ${name}.`);
  }
  const tokens = await context.tokens();
  const quotes = await Promise.all(
    [...info.fees].map(async ([asset, fees]) => ({ token: await tokens.of(asset), ...fees })),
  );
  const rows = quotes.map(({ token, transfer, withdrawal }) => [
    token.symbol,
    amountText(transfer, token),
    amountText(withdrawal, token),
  ]);
  const columns = [
    { title: 'token' },
    { title: 'send', align: 'right' },
    { title: 'withdraw', align: 'right' },
  ] as const;
  const described = {
    url,
    chainId: info.chainId.toString(),
    pool: formatAccount(info.pool),
    account: formatAccount(info.account),
    address: formatAddress(info.address),
  };
  return {
    json: {
      ...described,
      fees: quotes.map(({ token, transfer, withdrawal }) => ({
        token: tokenJson(token),
        transfer: amountJson(transfer, token),
        withdrawal: amountJson(withdrawal, token),
      })),
    },
    text: `${fields(Object.entries(described))}\n\n${table(columns, rows)}`,
  };
}
