import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Block, Provider } from 'ethers';
import type { PoolEvent } from './events.ts';
import type { Ledger } from './ledger.ts';
import { callError, type PoolClient, type Queue } from './pool.ts';

/** A reorganisation up to this deep costs no more than reading its blocks again; a deeper one costs reading everything again. */
export const REORG_BLOCKS = 64;

const RANGE_BLOCKS_FIRST = 2_000;
const RANGE_BLOCKS_MAX = 50_000;
const PERSIST_MS = 2_000;
const ATTEMPTS = 4;
const ATTEMPT_PAUSE_MS = 400;

/** A state that follows from the pool's events alone. `Snapshot` is plain data that v8 can serialise. */
export type Fold<Snapshot> = { readonly ledger: Ledger; apply(event: PoolEvent): void; save(): Snapshot };

/** A state at the end of a block. */
export type Anchor<Snapshot> = { readonly block: number; readonly hash: string; readonly snapshot: Snapshot };

export type Progress = { readonly from: number; readonly done: number; readonly target: number };

export type FollowerOptions<Snapshot, F extends Fold<Snapshot>> = {
  readonly pool: PoolClient;
  readonly provider: Provider;
  readonly startBlock: number;
  /** Blocks that must stand on one before it counts; 0 unless given, which is to follow the newest. */
  readonly confirmations?: number;
  /** Throws where the newest block cannot be believed; called before anything is read of it. */
  checkHead?(head: Block): void;
  /**
   * For so long a newest block below the one that was reached is taken for an endpoint that lags, and nothing is changed; 0 unless given, which is to
   * go back with it at once. A chain that is reorganised is as high as before within some blocks' time.
   */
  readonly lagMsMax?: number;
  /** A new fold, from a snapshot where there is one. */
  create(snapshot?: Snapshot): F;
  /** The newest anchor that an earlier run kept. */
  readonly anchor?: Anchor<Snapshot> | undefined;
  /** Keeps an anchor for later runs; called at most every two seconds and with the last one. */
  keep?(anchor: Anchor<Snapshot>): void;
};

/**
 * Follows the pool's events to the newest block and beyond, through reorganisations, lagging endpoints and kills.
 *
 * What is kept is always a state that is REORG_BLOCKS or more behind the newest block; the rest is read again. So nothing is ever undone:
 * after a reorganisation the state is built again from the anchor, and from nothing where even the anchor's block is gone.
 */
export class Follower<Snapshot, F extends Fold<Snapshot>> {
  readonly #options: FollowerOptions<Snapshot, F>;
  #anchor: Anchor<Snapshot> | undefined;
  /** Becomes the anchor once it is deep enough. */
  #candidate: Anchor<Snapshot> | undefined;
  #live: { fold: F; head: Block } | undefined;
  /** The number of the block that was read up to, and since when all newest blocks have been below it. */
  #reached = 0;
  #belowSince: number | undefined;
  #rangeBlocks = RANGE_BLOCKS_FIRST;
  #rangeGrowth = 2;

  constructor(options: FollowerOptions<Snapshot, F>) {
    this.#options = options;
    this.#anchor = options.anchor;
  }

  /** Reads up to the newest block that counts. Throws `ENDPOINT_INCONSISTENT` where the endpoint lags, or contradicts itself again and again. */
  async advance(onProgress?: (progress: Progress) => void): Promise<{ fold: F; head: Block }> {
    for (let attempt = 1; ; attempt++) {
      try {
        const head = await this.#head();
        if (this.#isLag(head)) break;
        this.#live = await this.#advanceOnce(head, onProgress);
        this.#reached = head.number;
        return this.#live;
      } catch (error) {
        this.#live = undefined;
        this.#candidate = undefined;
        const retryable = error instanceof BitcloakError && error.code === 'ENDPOINT_INCONSISTENT';
        if (!retryable || attempt === ATTEMPTS) throw error;
        // A reorganisation while reading looks like a contradiction, and so does a node whose log index lags behind its head.
        await new Promise((done) => setTimeout(done, ATTEMPT_PAUSE_MS * attempt));
        // An endpoint that lied earlier may have got its lies into the anchor.
        if (attempt === ATTEMPTS - 1) this.#anchor = undefined;
      }
    }
    throw new BitcloakError(
      'ENDPOINT_INCONSISTENT',
      `the endpoint was at block ${this.#reached} and is below it: it lags`,
    );
  }

  /** Forgets everything that was read, this run's and the anchor: the next `advance` reads the chain from the first block on. */
  forget(): void {
    this.#anchor = undefined;
    this.#candidate = undefined;
    this.#live = undefined;
    this.#reached = 0;
  }

  async #advanceOnce(head: Block, onProgress?: (progress: Progress) => void): Promise<{ fold: F; head: Block }> {
    const { fold, next } = await this.#start(head);
    const settled = head.number - REORG_BLOCKS;
    let from = next;
    let kept = Date.now();
    while (from <= head.number) {
      const limit = from <= settled ? settled : head.number;
      const to = await this.#read(fold, from, limit);
      onProgress?.({ from: next, done: to, target: head.number });
      if (to <= settled && (to === settled || Date.now() - kept > PERSIST_MS)) {
        const hash = (await this.#block(to)).hash ?? '';
        // Only where the newest block is still the one that reading began with, hash and events are of one chain.
        await this.#mustStand(head);
        this.#keep({ block: to, hash, snapshot: fold.save() });
        kept = Date.now();
      }
      from = to + 1;
    }
    await this.#check(fold, head);
    this.#refreshAnchor(fold, head);
    return { fold, head };
  }

  async #head(): Promise<Block> {
    const newest = await this.#block('latest');
    this.#options.checkHead?.(newest);
    const { confirmations = 0, startBlock } = this.#options;
    return confirmations === 0 ? newest : this.#block(Math.max(startBlock, newest.number - confirmations));
  }

  /** Whether the newest block is below the one that was reached, and not for so long that the chain must have been rewound. */
  #isLag({ number }: Block): boolean {
    if (number >= this.#reached) this.#belowSince = undefined;
    else this.#belowSince ??= performance.now();
    const { lagMsMax = 0 } = this.#options;
    return this.#belowSince !== undefined && performance.now() - this.#belowSince < lagMsMax;
  }

  /** The state to go on from: the live one where its block still stands, else the anchor's, else a new one. */
  async #start(head: Block): Promise<{ fold: F; next: number }> {
    const { startBlock } = this.#options;
    const live = this.#live;
    if (live !== undefined && (await this.#stands(live.head.number, live.head.hash, head))) {
      return { fold: live.fold, next: live.head.number + 1 };
    }
    this.#candidate = undefined;
    const seen = this.#anchor?.block ?? startBlock;
    if (head.number < seen) {
      const message = `the endpoint is at block ${head.number}, and block ${seen} was there already: it lags, or the chain was rewound`;
      throw new BitcloakError('ENDPOINT_INCONSISTENT', message);
    }
    const anchor = this.#anchor;
    if (anchor !== undefined && (await this.#stands(anchor.block, anchor.hash, head))) {
      return { fold: this.#options.create(anchor.snapshot), next: anchor.block + 1 };
    }
    return { fold: this.#options.create(), next: startBlock };
  }

  async #stands(block: number, hash: string | null, head: Block): Promise<boolean> {
    return block <= head.number && (await this.#block(block)).hash === hash;
  }

  async #mustStand(head: Block): Promise<void> {
    if (await this.#stands(head.number, head.hash, head)) return;
    const message = `block ${head.number} is another one than before: the chain was reorganised while it was read`;
    throw new BitcloakError('ENDPOINT_INCONSISTENT', message);
  }

  /** Reads one range from `from` on, as wide as the endpoint takes it; returns its last block. */
  async #read(fold: F, from: number, limit: number): Promise<number> {
    for (;;) {
      const to = Math.min(limit, from + this.#rangeBlocks - 1);
      let events: PoolEvent[];
      try {
        events = await this.#options.pool.events(from, to);
      } catch (error) {
        if (error instanceof BitcloakError && error.code === 'ENDPOINT_INCONSISTENT') throw error;
        // Where it does not answer this either, the range is not the reason.
        await this.#block('latest');
        if (this.#rangeBlocks === 1) {
          const message = `the endpoint refuses the logs of block ${from}`;
          throw new BitcloakError('ENDPOINT_INCONSISTENT', message, { cause: error });
        }
        this.#rangeBlocks = Math.max(1, Math.floor(this.#rangeBlocks / 4));
        // It has a limit, which shall not be run against again and again.
        this.#rangeGrowth = 1.25;
        continue;
      }
      for (const event of events) fold.apply(event);
      this.#rangeBlocks = Math.min(RANGE_BLOCKS_MAX, Math.ceil(this.#rangeBlocks * this.#rangeGrowth));
      return to;
    }
  }

  /** What was read must end where the pool stands, and the block that it ends at must still be there. */
  async #check({ ledger }: F, head: Block): Promise<void> {
    const { queue, root } = await this.#poolAt(head);
    const same =
      queue.openBucket === ledger.openBucket &&
      queue.openLeaves === ledger.leavesOf(ledger.openBucket).length &&
      queue.nextInsertion === ledger.nextInsertion &&
      root === ledger.root;
    if (!same) {
      const message = `the endpoint's events and the pool's state differ at block ${head.number}`;
      throw new BitcloakError('ENDPOINT_INCONSISTENT', message);
    }
    await this.#mustStand(head);
  }

  async #poolAt(head: Block): Promise<{ queue: Queue; root: bigint }> {
    const { pool } = this.#options;
    try {
      const [queue, root] = await Promise.all([pool.queue(head.number), pool.currentRoot(head.number)]);
      return { queue, root };
    } catch (error) {
      // A block that was reorganised away, or that another node behind the same address has not seen yet.
      await this.#mustStand(head);
      const message = `the endpoint does not tell the pool's state at block ${head.number}`;
      throw new BitcloakError('ENDPOINT_INCONSISTENT', message, { cause: error });
    }
  }

  #refreshAnchor(fold: F, head: Block): void {
    if (this.#candidate !== undefined && this.#candidate.block <= head.number - REORG_BLOCKS) {
      // After many new blocks at once a newer one has been kept already.
      if (this.#candidate.block > (this.#anchor?.block ?? 0)) this.#keep(this.#candidate);
      this.#candidate = undefined;
    }
    this.#candidate ??= { block: head.number, hash: head.hash ?? '', snapshot: fold.save() };
  }

  #keep(anchor: Anchor<Snapshot>): void {
    this.#anchor = anchor;
    this.#options.keep?.(anchor);
  }

  async #block(tag: number | 'latest'): Promise<Block> {
    const block = await this.#options.provider.getBlock(tag).catch((error: unknown) => {
      throw callError(error);
    });
    if (block?.hash == null) throw new BitcloakError('ENDPOINT_INCONSISTENT', `the endpoint has no block ${tag}`);
    return block;
  }
}
