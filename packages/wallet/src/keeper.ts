import type { Endpoint } from '@bitcloak/chain/endpoint';
import type { PoolEvent } from '@bitcloak/chain/events';
import { Follower } from '@bitcloak/chain/follower';
import { Ledger, type LedgerSnapshot } from '@bitcloak/chain/ledger';
import { PoolClient, type Sending } from '@bitcloak/chain/pool';
import type { Raising } from '@bitcloak/chain/replacement';
import { appendBucket } from '@bitcloak/notes/insertion';
import type { Prover } from '@bitcloak/prover/proof';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Signer } from 'ethers';

/** What a keeper did, one line of a log. */
export type KeeperReport =
  | { kind: 'closed'; bucket: number; leaves: number; transaction: string; gasUsed: bigint }
  | { kind: 'inserted'; bucket: number; leaves: number; transaction: string; gasUsed: bigint; proofMs: number }
  /** Somebody else did it first, or the endpoint failed: the keeper goes on. */
  | { kind: 'failed'; code: string; message: string };

export type KeeperOptions = {
  readonly pool: bigint;
  readonly endpoint: Endpoint;
  /** Pays the gas. Nothing else should send from it, unless `once`: what is sent takes the place of whatever it has waiting. */
  readonly signer: Signer;
  readonly startBlock: number;
  readonly prover: Prover;
  /** Block-time seconds that a bucket stays open for others to join it; at least the pool's own minimum applies. */
  readonly closeAfterSeconds: bigint;
  readonly pollMs: number;
  /** How long a transaction is waited for, unless `once`: one that pays too little by then is sent again for more, if it still has to be. */
  readonly receiptMs?: number;
  /** Ends once nothing is left to close or insert that could be done now, and throws what fails. */
  readonly once: boolean;
  /** Told where more is offered for what waits already; with `once` only. */
  readonly onRaise?: Raising['onRaise'];
  readonly signal: AbortSignal;
  readonly report: (report: KeeperReport) => void;
};

/** The pool's leaves alone: a keeper sees commitments and knows nothing of notes. */
class LedgerFold {
  readonly ledger: Ledger;

  constructor(snapshot?: LedgerSnapshot) {
    this.ledger = snapshot === undefined ? new Ledger() : Ledger.restore(snapshot);
  }

  apply(event: PoolEvent): void {
    this.ledger.apply(event);
  }

  save(): LedgerSnapshot {
    return this.ledger.save();
  }
}

const RECEIPT_MS = 120_000;

/** Closes and inserts buckets until it is told to stop. Several may run: who comes second loses the gas of a refused call at most. */
export async function runKeeper(options: KeeperOptions): Promise<void> {
  const { endpoint, signer, once, signal, report } = options;
  const pool = new PoolClient(options.pool, signer);
  const follower = new Follower<LedgerSnapshot, LedgerFold>({
    pool: new PoolClient(options.pool, endpoint),
    provider: endpoint,
    startBlock: options.startBlock,
    create: (snapshot) => new LedgerFold(snapshot),
  });
  while (!signal.aborted) {
    let worked = false;
    try {
      const { fold, head } = await follower.advance();
      worked = await workOnce(options, pool, fold.ledger, BigInt(head.timestamp));
    } catch (error) {
      const failure = error instanceof BitcloakError ? error : undefined;
      if (once || failure === undefined) throw error;
      report({ kind: 'failed', code: failure.code, message: failure.message });
    }
    if (worked) continue;
    if (once) return;
    await sleep(options.pollMs, signal);
  }
}

async function workOnce(options: KeeperOptions, pool: PoolClient, ledger: Ledger, blockTime: bigint): Promise<boolean> {
  if (ledger.nextInsertion < ledger.openBucket) {
    await insertNext(options, pool, ledger);
    return true;
  }
  const leaves = ledger.leavesOf(ledger.openBucket).length;
  if (leaves === 0) return false;
  const { openedAt } = await pool.queue();
  if (blockTime < openedAt + options.closeAfterSeconds) return false;
  // The pool's clock is the next block's: asking it is surer than reckoning.
  if ((await pool.simulate(pool.closeCall())) !== undefined) return false;
  const receipt = await pool.send(pool.closeCall(), sendingOf(options));
  const { hash: transaction, gasUsed } = receipt;
  options.report({ kind: 'closed', bucket: ledger.openBucket, leaves, transaction, gasUsed });
  return true;
}

async function insertNext(options: KeeperOptions, pool: PoolClient, ledger: Ledger): Promise<void> {
  const { prover, report } = options;
  const bucket = ledger.nextInsertion;
  const leaves = ledger.leavesOf(bucket);
  const tree = ledger.treeForInsertion();
  const length = tree.length;
  const started = performance.now();
  let input: ReturnType<typeof appendBucket>;
  try {
    input = appendBucket(tree, bucket, leaves);
  } finally {
    // The tree follows the chain alone: the bucket comes in with its event.
    tree.truncate(length);
  }
  const { words } = await prover.prove('insertion', input);
  const proofMs = performance.now() - started;
  const call = pool.insertCall(bucket, leaves, input, words);
  const refusal = await pool.simulate(call);
  if (refusal !== undefined) throw refusal;
  const receipt = await pool.send(call, sendingOf(options));
  const { hash: transaction, gasUsed } = receipt;
  report({ kind: 'inserted', bucket, leaves: leaves.length, transaction, gasUsed, proofMs });
}

function sendingOf({ once, onRaise, receiptMs = RECEIPT_MS }: KeeperOptions): Sending {
  return once ? { onRaise } : { msMax: receiptMs };
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done, { once: true });
  });
}
