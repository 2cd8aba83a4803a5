import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mintCall } from '@bitcloak/chain/erc20';
import { Follower } from '@bitcloak/chain/follower';
import type { Manifest, Token } from '@bitcloak/chain/manifest';
import { PoolClient, sendCall } from '@bitcloak/chain/pool';
import { developmentEvidence, RegistryClient, type Era } from '@bitcloak/chain/registry';
import { operatorIdOf, settlementDigest } from '@bitcloak/chain/settlement';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { Keyring } from '@bitcloak/notes/keys';
import { newMnemonic, seedOf } from '@bitcloak/notes/mnemonic';
import { orderHashOf, type Order } from '@bitcloak/notes/order';
import type { Prover } from '@bitcloak/prover/prover';
import { randomField } from '@bitcloak/crypto/field';
import { parseAmount } from '@bitcloak/wallet/amounts';
import type { Session } from '@bitcloak/wallet/session';
import { Wallet } from '@bitcloak/wallet/wallet';
import { Wallet as Account, type Signer } from 'ethers';
import type { MarketRules } from '../../enclave/engine/market.ts';
import { Exchange, type OrderRequest } from '../../enclave/exchange/exchange.ts';
import type { MarketTerms } from '../../enclave/exchange/market.ts';
import { planBatch, proveBatch } from '../../enclave/settlement/batch.ts';
import { fillsOf } from '../../enclave/settlement/fills.ts';
import { EnclaveWallet, type EnclaveSnapshot } from '../../enclave/wallet/enclaveWallet.ts';
import { giveGas, untilSpendable, type StepReport } from './roundTrip.ts';

const DAY_SECONDS = 86_400n;
const VALID_SECONDS = 1_800;
const WAIT_MS_MAX = 120_000;

/** An operator of the devnet's registry, with the keys of its first era. */
class Operator {
  readonly operatorId: bigint;
  readonly eraKey = new AgreementKey(crypto.getRandomValues(new Uint8Array(32)));
  readonly #manifest: Manifest;
  readonly #admin: Signer;
  readonly #signer = new Account(Account.createRandom().privateKey);
  readonly #treasury = new Keyring(seedOf(newMnemonic()));
  readonly #pool: PoolClient;
  readonly #follower: Follower<EnclaveSnapshot, EnclaveWallet>;
  readonly #number: number;

  private constructor(manifest: Manifest, admin: Signer, session: Session, number: number) {
    this.#manifest = manifest;
    this.#admin = admin;
    this.#number = number;
    this.operatorId = operatorIdOf(manifest.chainId, manifest.pool, manifest.registry, number);
    this.#pool = new PoolClient(manifest.pool, session.endpoint);
    const options = { operator: number, operatorId: this.operatorId, eraKeys: [this.eraKey] };
    this.#follower = new Follower({
      pool: this.#pool,
      provider: session.endpoint,
      startBlock: manifest.startBlock,
      create: (snapshot?: EnclaveSnapshot) => new EnclaveWallet(options, snapshot),
    });
  }

  /** The first operator of the registry, and its first era. */
  static async register(manifest: Manifest, admin: Signer, session: Session): Promise<Operator> {
    const operator = new Operator(manifest, admin, session, 1);
    const registry = new RegistryClient(manifest.registry, session.endpoint);
    await sendCall(admin, registry.registerOperatorCall());
    const era: Era = {
      signer: BigInt(operator.#signer.address),
      encryptionKey: operator.eraKey.publicKey,
      apiKey: new AgreementKey(crypto.getRandomValues(new Uint8Array(32))).publicKey,
      number: 1n,
      expiry: session.blockTime + 7n * DAY_SECONDS,
    };
    const evidence = developmentEvidence(manifest.chainId, manifest.registry, 1, era, operator.#signer);
    await sendCall(admin, registry.registerEraCall(1, era, evidence));
    return operator;
  }

  /** Waits until both owners' notes are in the tree, matches their orders, and settles what matched. */
  async trade(prover: Prover, orders: readonly OrderRequest[]): Promise<{ gasUsed: bigint; proofMs: number }> {
    const { wallet, time } = await this.#untilReady(orders.map(({ order }) => order.owner));
    const exchange = new Exchange({ operatorId: this.operatorId, settleSeconds: 3_600 });
    exchange.apply({ kind: 'setTime', time });
    exchange.apply({ kind: 'addMarket', terms: marketTerms(this.#manifest), rules: MARKET_RULES });
    for (const locked of wallet.notes()) {
      const { owner, asset, value, lock } = locked.note;
      const inserted = wallet.spendable(locked) !== undefined;
      const expiry = Number(lock?.expiry ?? 0n);
      exchange.apply({ kind: 'credit', note: { leaf: locked.leaf, owner, asset, value, expiry, inserted } });
    }
    for (const order of orders) {
      const [event] = exchange.apply({ kind: 'order', ...order });
      if (event?.kind !== 'accepted') throw new Error(`an order is not accepted: ${JSON.stringify(event)}`);
    }
    exchange.apply({ kind: 'plan', validUntil: time + VALID_SECONDS });
    if (exchange.batch === undefined) throw new Error('the orders did not match');
    const started = performance.now();
    const planned = planBatch({
      operator: this.#number,
      sequence: (await this.#pool.lastSequence(this.#number)) + 1n,
      journalHead: 0n,
      root: wallet.ledger.root,
      validUntil: BigInt(exchange.batch.validUntil),
      operatorAddress: {
        owner: this.#treasury.spending.keys.owner,
        viewingKey: this.#treasury.viewing.agreement.publicKey,
      },
      fills: fillsOf(exchange.batch, wallet),
    });
    const proven = await proveBatch(prover, planned);
    const proofMs = performance.now() - started;
    const digest = settlementDigest(this.#manifest.chainId, this.#manifest.pool, planned.shown);
    const call = this.#pool.settleCall(proven, this.#signer.signingKey.sign(digest).serialized);
    const { gasUsed } = await sendCall(this.#admin, call);
    return { gasUsed, proofMs };
  }

  async #untilReady(owners: readonly bigint[]): Promise<{ wallet: EnclaveWallet; time: number }> {
    const deadline = Date.now() + WAIT_MS_MAX;
    for (;;) {
      const { fold: wallet, head } = await this.#follower.advance();
      const ready = wallet.notes().filter((note) => wallet.spendable(note) !== undefined);
      if (owners.every((owner) => ready.some(({ note }) => note.owner === owner))) {
        return { wallet, time: head.timestamp };
      }
      if (Date.now() > deadline) throw new Error('the keeper did not insert the locked notes in time');
      await new Promise((done) => setTimeout(done, 500));
    }
  }
}

const MARKET = 1;
const MARKET_RULES: MarketRules = {
  market: MARKET,
  ticksMax: 100_000_000,
  lotsMin: 1,
  lotsMax: 1_000_000_000,
  referenceSecondsMax: 60,
  referenceMoveMax: 500,
};

/** A lot is a thousandth of a coin, a tick a cent for a whole coin. */
function marketTerms({ tokens }: Manifest): MarketTerms {
  const [coin, dollar] = tokens as [Token, Token];
  return {
    market: MARKET,
    base: coin.asset,
    quote: dollar.asset,
    lotBase: 10n ** BigInt(coin.decimals - 3),
    tickQuote: 10n ** BigInt(dollar.decimals - 5),
    makerFee: 5,
    takerFee: 10,
  };
}

/**
 * Two wallets, made for this and thrown away, lock notes to an operator and sign an order each; the operator, played by this program, matches
 * them and settles under proof, and each wallet finds what it gained by itself. Throws where an amount does not arrive.
 */
export async function tradeTrip(
  manifest: Manifest,
  prover: Prover,
  admin: Signer,
  onStep: (report: StepReport) => void,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-trade-'));
  const step = async (name: string, work: () => Promise<{ gasUsed?: bigint; proofMs?: number } | undefined>) => {
    const started = performance.now();
    const outcome = await work();
    const milliseconds = performance.now() - started;
    onStep({ step: name, milliseconds, gas: outcome?.gasUsed, proofMs: outcome?.proofMs ?? 0 });
  };
  const [coin, dollar] = manifest.tokens as [Token, Token];
  const coins = (text: string) => parseAmount(text, coin);
  const dollars = (text: string) => parseAmount(text, dollar);
  const open = async (name: string) => {
    const wallet = await Wallet.create(join(directory, name), { mnemonic: newMnemonic() }, 'thrown away');
    const session = await wallet.openSession(manifest, prover);
    await giveGas(session.endpoint, wallet.account().address);
    await session.sync();
    return { wallet, session };
  };
  const carol = await open('carol');
  const dave = await open('dave');
  try {
    const operator = await Operator.register(manifest, admin, carol.session);
    const { operatorId } = operator;
    const expiry = carol.session.blockTime + DAY_SECONDS;
    const lock = { operatorId, expiry, operatorKey: operator.eraKey.publicKey };
    const signed = (
      { wallet }: typeof carol,
      side: 'buy' | 'sell',
      ticks: number,
      lots: number,
      limit: Pick<Order, 'sellAsset' | 'buyAsset' | 'sellMax' | 'buyMin'>,
    ): OrderRequest => {
      const key = wallet.keyring().tradingAccount(operatorId, 0);
      const { owner } = key.keys;
      const payTo = wallet.address.owner;
      const order: Order = { owner, operatorId, expiry, payTo, relockExpiry: 0n, salt: randomField(), ...limit };
      const signature = key.sign(orderHashOf(order));
      const terms = { type: 'limit', timeInForce: 'gtc', selfTrade: 'cancelNewest' } as const;
      return { market: MARKET, side, price: ticks, lots, ...terms, order, signature };
    };
    await step('lock 2 ETH to an operator', () =>
      carol.session.deposit({ asset: coin.asset, amount: coins('2'), lock }),
    );
    await step('lock 5000 DUSD to it', async () => {
      const account = dave.wallet.account();
      await sendCall(
        account.connect(dave.session.endpoint),
        mintCall(dollar.asset, BigInt(account.address), dollars('5000')),
      );
      return dave.session.deposit({ asset: dollar.asset, amount: dollars('5000'), lock });
    });
    // All fees included: a thousandth less than 2,000 a coin, and a thousandth more than 2,005.
    const sell = signed(carol, 'sell', 200_000, 2_000, {
      sellAsset: coin.asset,
      buyAsset: dollar.asset,
      sellMax: coins('2'),
      buyMin: dollars('3996'),
    });
    const buy = signed(dave, 'buy', 200_500, 1_500, {
      sellAsset: dollar.asset,
      buyAsset: coin.asset,
      sellMax: dollars('3010.5075'),
      buyMin: coins('1.5'),
    });
    await step('trade 1.5 ETH for 3000 DUSD', () => operator.trade(prover, [sell, buy]));
    await step('wait for insertion', async () => {
      await untilSpendable(carol.session, dollar.asset, dollars('2998.5'));
      return untilSpendable(dave.session, coin.asset, coins('1.5'));
    });
  } finally {
    carol.session.close();
    dave.session.close();
    rmSync(directory, { recursive: true, force: true });
  }
}
