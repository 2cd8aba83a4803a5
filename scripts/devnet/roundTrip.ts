import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest, Token } from '@bitcloak/chain/manifest';
import { newMnemonic } from '@bitcloak/notes/mnemonic';
import type { Prover } from '@bitcloak/prover/proof';
import { formatAmount, parseAmount } from '@bitcloak/protocol/amounts';
import type { Session } from '@bitcloak/wallet/session';
import type { Outcome } from '@bitcloak/wallet/types';
import { Wallet } from '@bitcloak/wallet/wallet';
import { toQuantity, parseEther, type JsonRpcProvider } from 'ethers';

/** One step of the round trip, as the table shows it. */
export type StepReport = { step: string; milliseconds: number; gas: bigint | undefined; proofMs: number };

const WAIT_MS_MAX = 120_000;

/** Gives an account of a development chain gas. */
export async function giveGas(endpoint: JsonRpcProvider, account: string): Promise<void> {
  await endpoint.send('hardhat_setBalance', [account, toQuantity(parseEther('100'))]);
}

/**
 * Two wallets, made for this and thrown away: one deposits, pays the other, which withdraws to a public account through the relayer. Every
 * proof is a real one. Throws where an amount does not arrive.
 */
export async function roundTrip(
  manifest: Manifest,
  prover: Prover,
  onStep: (report: StepReport) => void,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-round-trip-'));
  const open = async (name: string) => {
    const wallet = await Wallet.create(join(directory, name), { mnemonic: newMnemonic() }, 'thrown away');
    return { wallet, session: await wallet.openSession(manifest, prover) };
  };
  const step = async (name: string, work: () => Promise<Outcome | undefined>) => {
    const started = performance.now();
    const outcome = await work();
    const milliseconds = performance.now() - started;
    onStep({ step: name, milliseconds, gas: outcome?.gasUsed, proofMs: outcome?.proofMs ?? 0 });
  };
  const alice = await open('alice');
  const bob = await open('bob');
  try {
    const [native] = manifest.tokens as [Token];
    const { asset } = native;
    const amount = (text: string) => parseAmount(text, native);
    await giveGas(alice.session.endpoint, alice.wallet.account().address);
    await step('deposit 10 ETH', () => alice.session.deposit({ asset, amount: amount('10') }));
    await step('wait for insertion', () => untilSpendable(alice.session, asset, amount('10')));
    await step('send 4 ETH', () =>
      alice.session.send({ asset, amount: amount('4'), to: bob.wallet.address, route: { kind: 'direct' } }),
    );
    await step('wait for insertion', () => untilSpendable(bob.session, asset, amount('4')));
    const url = manifest.relayer ?? '';
    const fee = await bob.session.quote(url, asset, 'withdrawal');
    const to = BigInt(alice.wallet.account(7).address);
    await step('withdraw 3 ETH through the relayer', async () => {
      const route = { kind: 'relayer', url, feeMax: fee } as const;
      const outcome = await bob.session.withdraw({ asset, amount: amount('3'), to, route });
      // Wallets do not ask, since that tells an endpoint whose transaction it is. This one is shown to everybody.
      const receipt = await bob.session.endpoint.getTransactionReceipt(outcome.transaction);
      return receipt === null ? outcome : { ...outcome, gasUsed: receipt.gasUsed };
    });
    const arrived = await bob.session.endpoint.getBalance(alice.wallet.account(7).address);
    if (arrived !== amount('3') - fee) {
      throw new Error(
        `the withdrawal paid ${formatAmount(arrived, native)} ETH, not ${formatAmount(amount('3') - fee, native)}`,
      );
    }
  } finally {
    alice.session.close();
    bob.session.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Waits until the keeper has inserted what makes `amount` spendable. */
export async function untilSpendable(session: Session, asset: bigint, amount: bigint): Promise<undefined> {
  const deadline = Date.now() + WAIT_MS_MAX;
  for (;;) {
    await session.sync();
    const balance = (await session.balances()).find((entry) => entry.asset === asset);
    if (balance !== undefined && balance.spendable >= amount) return undefined;
    if (Date.now() > deadline) throw new Error('the keeper did not insert the note in time');
    await new Promise((done) => setTimeout(done, 500));
  }
}
