import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { Contract } from 'ethers';
import { deployContract } from '../../scripts/deploy/contracts.ts';
import { expectGas } from '../support/gasSnapshot.ts';
import { PoolBench } from '../support/pool.ts';

describe('gas of the pool', () => {
  let bench: PoolBench;

  before(async () => {
    bench = await PoolBench.open({ seed: 'gas' });
  });
  after(() => bench.close());

  it('is that of the snapshot', async function () {
    this.timeout(300_000);
    const { spending } = bench.keyring();
    const { signers } = bench.chain;
    const token = (await deployContract(bench.chain.signer(), 'DevelopmentToken')) as Contract;
    const asset = BigInt(await token.getAddress());
    await (await token.getFunction('mint')(signers[0]?.address, 10n ** 12n)).wait();
    await (await token.getFunction('approve')(bench.contract().target, 10n ** 12n)).wait();

    const first = await bench.deposit(spending, 1000n);
    expectGas('deposit.native.cold', first.receipt.gasUsed);
    const second = await bench.deposit(spending, 500n);
    expectGas('deposit.native.warm', second.receipt.gasUsed);
    expectGas('deposit.erc20.cold', (await bench.deposit(spending, 1000n, { asset })).receipt.gasUsed);
    const tokenNote = await bench.deposit(spending, 500n, { asset });
    expectGas('deposit.erc20.warm', tokenNote.receipt.gasUsed);

    await bench.closeBucket();
    expectGas('insert.4', (await bench.insert()).gasUsed);
    // The bucket's words are written from here on: this is what every later call pays.
    await bench.deposit(spending, 1n);

    const sent = await bench.prove({ key: spending, inputs: [first] });
    const sentReceipt = await bench.send(sent);
    expectGas('transfer', sentReceipt.gasUsed);
    const recipient = BigInt(signers[9]?.address ?? 0);
    const withdrawn = await bench.prove({ key: spending, inputs: [second], withdrawAmount: 400n, extData: { recipient } });
    expectGas('withdraw.native', (await bench.send(withdrawn)).gasUsed);
    const relayer = BigInt(signers[8]?.address ?? 0);
    const extData = { recipient, relayer, fee: 10n };
    await (await token.getFunction('mint')(signers[9]?.address, 1n)).wait();
    await (await token.getFunction('mint')(signers[8]?.address, 1n)).wait();
    const relayed = await bench.prove({ key: spending, inputs: [tokenNote], withdrawAmount: 400n, extData });
    expectGas('withdraw.erc20.relayed', (await bench.send(relayed)).gasUsed);

    while ((await bench.client.queue()).openBucket === 1) await bench.deposit(spending, 1n, { asset: NATIVE_ASSET });
    expectGas('insert.64', (await bench.insert()).gasUsed);
  });
});
