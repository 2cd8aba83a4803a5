import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mintCall } from '@bitcloak/chain/erc20';
import type { Manifest, Token } from '@bitcloak/chain/manifest';
import { PoolClient, sendCall } from '@bitcloak/chain/pool';
import { developmentEvidence, RegistryClient, type Era } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import type { ShieldedAddress } from '@bitcloak/notes/address';
import { Keyring } from '@bitcloak/notes/keys';
import { newMnemonic, seedOf } from '@bitcloak/notes/mnemonic';
import type { Prover } from '@bitcloak/prover/prover';
import { parseAmount } from '@bitcloak/wallet/amounts';
import type { Session } from '@bitcloak/wallet/session';
import { Wallet } from '@bitcloak/wallet/wallet';
import { Wallet as Account, type Signer } from 'ethers';
import type { MarketRules } from '../../enclave/engine/market.ts';
import { limitOf, type MarketTerms } from '@bitcloak/trading/market';
import { signOrder, type NewOrder } from '@bitcloak/trading/orders';
import { Journal } from '../../enclave/journal/journal.ts';
import { Machine } from '../../enclave/operator/machine.ts';
import { Operator, type Round } from '../../enclave/operator/operator.ts';
import { Settler } from '../../enclave/operator/settler.ts';
import { giveGas, untilSpendable, type StepReport } from './roundTrip.ts';

const DAY_SECONDS = 86_400n;
const WAIT_MS_MAX = 120_000;

/** Registers the first operator of the devnet's registry with its first era, and puts it to work. */
async function startOperator(
  manifest: Manifest,
  prover: Prover,
  admin: Signer,
  session: Session,
  directory: string,
): Promise<{ operatorId: bigint; eraKey: AgreementKey; machine: Machine; operator: Operator }> {
  const number = 1;
  const random = () => crypto.getRandomValues(new Uint8Array(32));
  const [eraKey, signer, treasury] = [
    new AgreementKey(random()),
    new Account(Account.createRandom().privateKey),
    newTreasury(),
  ];
  const registry = new RegistryClient(manifest.registry, session.endpoint);
  await sendCall(admin, registry.registerOperatorCall());
  const era: Era = {
    signer: BigInt(signer.address),
    encryptionKey: eraKey.publicKey,
    apiKey: new AgreementKey(random()).publicKey,
    number: 1n,
    expiry: session.blockTime + 7n * DAY_SECONDS,
  };
  const evidence = developmentEvidence(manifest.chainId, manifest.registry, number, era, signer);
  await sendCall(admin, registry.registerEraCall(number, era, evidence));

  const { chainId, pool: poolAddress, registry: registryAddress, startBlock } = manifest;
  const operatorId = operatorIdOf(chainId, poolAddress, registryAddress, number);
  const pool = new PoolClient(poolAddress, admin);
  const journal = await Journal.open({ directory: join(directory, 'journal'), key: random(), atLeast: undefined });
  const machine = await Machine.open(journal, operatorId);
  await machine.execute({ kind: 'configure', rules: RULES });
  await machine.execute({ kind: 'addMarket', terms: marketTerms(manifest), rules: MARKET_RULES });
  const identity = { operator: number, operatorId };
  const settler = new Settler({ chainId, pool, ...identity, signer: signer.signingKey, treasury, prover, fills: 2 });
  const operator = new Operator({
    machine,
    settler,
    pool,
    provider: session.endpoint,
    startBlock,
    confirmations: 0,
    ...identity,
    eraKeys: [eraKey],
    cadence: { kind: 'count', matches: 1, secondsMax: 60 },
    clockSkewSecondsMax: undefined,
  });
  return { operatorId, eraKey, machine, operator };
}

function newTreasury(): ShieldedAddress {
  const { spending, viewing } = new Keyring(seedOf(newMnemonic()));
  return { owner: spending.keys.owner, viewingKey: viewing.agreement.publicKey };
}

/** Lets the operator work until `isDone`. */
async function workUntil(operator: Operator, isDone: (round: Round) => boolean): Promise<Round> {
  const deadline = Date.now() + WAIT_MS_MAX;
  for (;;) {
    const round = await operator.round();
    if (isDone(round)) return round;
    if (Date.now() > deadline) throw new Error('the operator did not get there in time');
    await new Promise((done) => setTimeout(done, 500));
  }
}

const RULES = { settleSeconds: 3_600, orderSecondsMax: 7 * 86_400, lockSecondsMax: 90 * 86_400, withdrawalFees: [] };
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
    pair: `${coin.symbol}-${dollar.symbol}`,
    base: coin.asset,
    quote: dollar.asset,
    lotBase: 10n ** BigInt(coin.decimals - 3),
    tickQuote: 10n ** BigInt(dollar.decimals - 5),
    makerFee: 5,
    takerFee: 10,
  };
}

/**
 * Two wallets, made for this and thrown away, lock notes to an operator and sign an order each; the operator matches them and settles
 * under proof, and each wallet finds what it gained by itself. Throws where an amount does not arrive.
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
  let close = () => Promise.resolve();
  try {
    const { operatorId, eraKey, machine, operator } = await startOperator(
      manifest,
      prover,
      admin,
      carol.session,
      directory,
    );
    close = () => machine.close();
    const expiry = carol.session.blockTime + DAY_SECONDS;
    const lock = { operatorId, expiry, operatorKey: eraKey.publicKey };
    const signed = ({ wallet }: typeof carol, side: 'buy' | 'sell', ticks: number, lots: number): NewOrder => {
      const key = wallet.keyring().tradingAccount(operatorId, 0);
      const destination = { operatorId, expiry, payTo: wallet.address.owner, relockExpiry: 0n };
      const order = signOrder(key, limitOf(marketTerms(manifest), side, ticks, lots), destination);
      const terms = { type: 'limit', timeInForce: 'gtc', selfTrade: 'cancelNewest' } as const;
      return { clientOrderId: 'first', market: MARKET, side, price: ticks, lots, ...terms, ...order };
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
    const sell = signed(carol, 'sell', 200_000, 2_000);
    const buy = signed(dave, 'buy', 200_500, 1_500);
    await step('wait for the operator to see them', async () => {
      const isThere = ({ order }: NewOrder) => machine.state.available(order.owner, order.sellAsset) > 0n;
      await workUntil(
        operator,
        () => [sell, buy].every(isThere) && machine.state.notes().every(({ inserted }) => inserted),
      );
      return undefined;
    });
    await step('trade 1.5 ETH for 3000 DUSD', async () => {
      for (const order of [sell, buy]) {
        const [event] = await operator.submit(order);
        if (event?.kind !== 'accepted') throw new Error(`an order is not accepted: ${JSON.stringify(event)}`);
      }
      const { settled } = await workUntil(operator, (round) => round.settled?.kind === 'sent');
      return settled?.kind === 'sent' ? { gasUsed: settled.receipt.gasUsed, proofMs: settled.proofMs } : undefined;
    });
    await step('wait for insertion', async () => {
      await untilSpendable(carol.session, dollar.asset, dollars('2998.5'));
      return untilSpendable(dave.session, coin.asset, coins('1.5'));
    });
  } finally {
    await close();
    carol.session.close();
    dave.session.close();
    rmSync(directory, { recursive: true, force: true });
  }
}
