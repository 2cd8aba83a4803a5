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
import { planBatch, proveBatch, type BatchFill } from '../../enclave/settlement/batch.ts';
import { EnclaveWallet, type EnclaveSnapshot } from '../../enclave/wallet/enclaveWallet.ts';
import { giveGas, untilSpendable, type StepReport } from './roundTrip.ts';

const DAY_SECONDS = 86_400n;
const VALID_SECONDS = 1_800n;
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

  /** Waits until it can spend a note of each of the orders' owners, and settles them against each other. */
  async settle(
    prover: Prover,
    fills: readonly Pick<BatchFill, 'order' | 'signature' | 'sold' | 'bought'>[],
  ): Promise<{ gasUsed: bigint; proofMs: number }> {
    const { wallet, time } = await this.#untilReady(fills.map(({ order }) => order.owner));
    const started = performance.now();
    const planned = planBatch({
      operator: this.#number,
      sequence: (await this.#pool.lastSequence(this.#number)) + 1n,
      journalHead: 0n,
      root: wallet.ledger.root,
      validUntil: time + VALID_SECONDS,
      operatorAddress: {
        owner: this.#treasury.spending.keys.owner,
        viewingKey: this.#treasury.viewing.agreement.publicKey,
      },
      fills: fills.map((fill): BatchFill => {
        const { owner } = fill.order;
        const keys = wallet.account(owner);
        const inputs = wallet
          .notes()
          .filter(({ note }) => note.owner === owner)
          .map((note) => wallet.spendable(note));
        if (keys === undefined) throw new Error('the operator was not told of an owner');
        return { ...fill, keys, state: undefined, inputs: inputs.filter((input) => input !== undefined) };
      }),
    });
    const proven = await proveBatch(prover, planned);
    const proofMs = performance.now() - started;
    const digest = settlementDigest(this.#manifest.chainId, this.#manifest.pool, planned.shown);
    const call = this.#pool.settleCall(proven, this.#signer.signingKey.sign(digest).serialized);
    const { gasUsed } = await sendCall(this.#admin, call);
    return { gasUsed, proofMs };
  }

  async #untilReady(owners: readonly bigint[]): Promise<{ wallet: EnclaveWallet; time: bigint }> {
    const deadline = Date.now() + WAIT_MS_MAX;
    for (;;) {
      const { fold: wallet, head } = await this.#follower.advance();
      const ready = wallet.notes().filter((note) => wallet.spendable(note) !== undefined);
      if (owners.every((owner) => ready.some(({ note }) => note.owner === owner))) {
        return { wallet, time: BigInt(head.timestamp) };
      }
      if (Date.now() > deadline) throw new Error('the keeper did not insert the locked notes in time');
      await new Promise((done) => setTimeout(done, 500));
    }
  }
}

/**
 * Two wallets, made for this and thrown away, lock notes to an operator and sign an order each; the operator, played by this program, settles
 * them under proof, and each wallet finds what it gained by itself. Throws where an amount does not arrive.
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
    const signed = ({ wallet }: typeof carol, wish: Pick<Order, 'sellAsset' | 'buyAsset' | 'sellMax' | 'buyMin'>) => {
      const key = wallet.keyring().tradingAccount(operatorId, 0);
      const { owner } = key.keys;
      const order: Order = {
        owner,
        operatorId,
        expiry,
        payTo: wallet.address.owner,
        relockExpiry: 0n,
        salt: randomField(),
        ...wish,
      };
      return { order, signature: key.sign(orderHashOf(order)) };
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
    const sell = signed(carol, {
      sellAsset: coin.asset,
      buyAsset: dollar.asset,
      sellMax: coins('2'),
      buyMin: dollars('3900'),
    });
    const buy = signed(dave, {
      sellAsset: dollar.asset,
      buyAsset: coin.asset,
      sellMax: dollars('4100'),
      buyMin: coins('2'),
    });
    await step('settle 1.5 ETH for 3000 DUSD', () =>
      operator.settle(prover, [
        { ...sell, sold: coins('1.5'), bought: dollars('2997') },
        { ...buy, sold: dollars('3003'), bought: coins('1.5') },
      ]),
    );
    await step('wait for insertion', async () => {
      await untilSpendable(carol.session, dollar.asset, dollars('2997'));
      return untilSpendable(dave.session, coin.asset, coins('1.5'));
    });
  } finally {
    carol.session.close();
    dave.session.close();
    rmSync(directory, { recursive: true, force: true });
  }
}
