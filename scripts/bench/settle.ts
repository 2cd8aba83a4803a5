import { developmentEvidence, RegistryClient, type Era } from '@bitcloak/chain/registry';
import { operatorIdOf, settlementDigest } from '@bitcloak/chain/settlement';
import { mintCall } from '@bitcloak/chain/erc20';
import { sendCall } from '@bitcloak/chain/pool';
import { table } from '@bitcloak/cli/output';
import { Keyring, type SpendingKey } from '@bitcloak/notes/keys';
import { orderHashOf, type Order } from '@bitcloak/notes/order';
import { LocalProver, terminateProver } from '@bitcloak/prover/prover';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { Wallet } from 'ethers';
import { planBatch, proveBatch, type BatchFill } from '../../enclave/settlement/batch.ts';
import { deployContract } from '../deploy/contracts.ts';
import type { Options, Report, Say } from './benchmark.ts';
import { grouped, rounded, startCost } from './measure.ts';
import { CHAIN_ID, PoolDriver, type Placed } from './poolDriver.ts';
import { seededBytes, seededElements } from './random.ts';

const SEED = 'bitcloak settle';
const OPERATOR = 1;
const DAY_SECONDS = 86_400n;
const VALUE = 1_000_000n;
const SIZES = [2, 8, 16] as const;
const GAS_AIM = 170_000;

type Trader = { readonly key: SpendingKey; readonly placed: Placed };

/** A pool with an operator, and as many traders with a locked note each as the largest batch has fills, half of them on each side. */
class Desk {
  readonly #driver: PoolDriver;
  readonly #operatorId: bigint;
  readonly #signer: Wallet;
  readonly #treasury: Keyring;
  readonly #element = seededElements(`${SEED} orders`);
  readonly #assets: readonly [bigint, bigint];
  #traders: Trader[] = [];

  private constructor(driver: PoolDriver, token: bigint) {
    const bytes = seededBytes(`${SEED} keys`);
    this.#driver = driver;
    this.#assets = [NATIVE_ASSET, token];
    this.#operatorId = operatorIdOf(BigInt(CHAIN_ID), driver.pool.address, driver.registry, OPERATOR);
    this.#signer = new Wallet(`0x${Buffer.from(bytes(32)).toString('hex')}`);
    this.#treasury = new Keyring(bytes(64));
  }

  static async open(driver: PoolDriver): Promise<Desk> {
    const account = driver.signer(0);
    const token = BigInt(await (await deployContract(account, 'DevelopmentToken')).getAddress());
    await sendCall(account, mintCall(token, BigInt(account.address), 1000n * VALUE));
    await driver.approve(token, 1000n * VALUE);
    const desk = new Desk(driver, token);
    const registry = new RegistryClient(driver.registry, account);
    await sendCall(account, registry.registerOperatorCall());
    const expiry = (await driver.now()) + 20n * DAY_SECONDS;
    const [encryptionKey, apiKey] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
    const era: Era = { signer: BigInt(desk.#signer.address), encryptionKey, apiKey, number: 1n, expiry };
    const evidence = developmentEvidence(
      BigInt(CHAIN_ID),
      driver.registry,
      OPERATOR,
      era,
      await registry.nonce(),
      desk.#signer,
    );
    await sendCall(account, registry.registerEraCall(OPERATOR, era, evidence));
    return desk;
  }

  /** New traders with new notes, all of them in the tree. */
  async seat(count: number): Promise<void> {
    const bytes = seededBytes(`${SEED} traders ${await this.#driver.now()}`);
    this.#traders = [];
    for (let index = 0; index < count; index++) {
      const key = new Keyring(bytes(64)).tradingAccount(this.#operatorId, 0);
      const lock = { operatorId: this.#operatorId, expiry: (await this.#driver.now()) + DAY_SECONDS };
      const asset = this.#assets[index % 2] as bigint;
      const placed = await this.#driver.deposit(asset, 2n * VALUE, { owner: key.keys.owner, lock });
      this.#traders.push({ key, placed });
    }
    await this.#driver.insertAll();
  }

  /** Everybody sells a part of his note to the one on the other side. */
  async settle(prover: LocalProver): Promise<{ gas: bigint; cpuMs: number; wallMs: number }> {
    const { root, now } = { root: await this.#driver.root(), now: await this.#driver.now() };
    const fills: BatchFill[] = [];
    for (const [index, { key, placed }] of this.#traders.entries()) {
      const [sellAsset, buyAsset] = index % 2 === 0 ? this.#assets : ([this.#assets[1], this.#assets[0]] as const);
      const { owner } = key.keys;
      const order: Order = {
        owner,
        operatorId: this.#operatorId,
        sellAsset,
        buyAsset,
        sellMax: 2n * VALUE,
        buyMin: VALUE,
        expiry: now + DAY_SECONDS,
        payTo: owner,
        relockExpiry: 0n,
        salt: this.#element(),
      };
      const signature = key.sign(orderHashOf(order));
      const inputs = [await this.#driver.spent(placed)];
      fills.push({ keys: key.keys, order, signature, state: undefined, inputs, sold: VALUE, bought: VALUE - 1_000n });
    }
    const cost = startCost();
    const planned = planBatch({
      operator: OPERATOR,
      sequence: (await this.#driver.pool.lastSequence(OPERATOR)) + 1n,
      journalHead: 1n,
      root,
      validUntil: now + 1_800n,
      fills,
      operatorAddress: {
        owner: this.#treasury.spending.keys.owner,
        viewingKey: this.#treasury.viewing.agreement.publicKey,
      },
    });
    const proven = await proveBatch(prover, planned);
    const { cpuMs, wallMs } = cost();
    const digest = settlementDigest(BigInt(CHAIN_ID), this.#driver.pool.address, proven.shown);
    const call = this.#driver.pool.settleCall(proven, this.#signer.signingKey.sign(digest).serialized);
    return { gas: (await this.#driver.pool.send(call)).gasUsed, cpuMs, wallMs };
  }
}

export async function run(_options: Options, say: Say): Promise<Report> {
  const driver = await PoolDriver.open(SEED);
  const prover = new LocalProver();
  try {
    const desk = await Desk.open(driver);
    say('a first settlement, which is not counted');
    await desk.seat(2);
    await desk.settle(prover);
    const rows = [];
    for (const size of SIZES) {
      say(`${size} fills`);
      await desk.seat(size);
      rows.push({ size, ...(await desk.settle(prover)) });
    }
    const results = rows.map(({ size, gas, cpuMs, wallMs }) => ({
      fills: size,
      gas: Number(gas),
      gasPerFill: Math.round(Number(gas) / size),
      ...(size === 16 ? { aim: GAS_AIM } : {}),
      cpuMsPerFill: rounded(cpuMs / size),
      fillsPerCpuSecond: rounded((1000 * size) / cpuMs),
      wallMs: rounded(wallMs),
    }));
    const text = `${table(
      [
        { title: 'fills', align: 'right' },
        { title: 'gas', align: 'right' },
        { title: 'gas a fill', align: 'right' },
        { title: 'CPU ms a fill', align: 'right' },
        { title: 'fills a CPU second', align: 'right' },
      ],
      results.map(({ fills, gas, gasPerFill, cpuMsPerFill, fillsPerCpuSecond }) => [
        String(fills),
        grouped(gas),
        grouped(gasPerFill),
        grouped(cpuMsPerFill),
        String(fillsPerCpuSecond),
      ]),
    )}

The whole transaction, its data included; every fill is a real one, of one note. A fill that only fills up a batch costs the same. Proving
includes the clearing and the check of every proof.`;
    return { parameters: { seed: SEED, hardfork: 'osaka' }, results: { settlements: results }, text };
  } finally {
    await driver.close();
    await terminateProver();
  }
}
