import assert from 'node:assert/strict';
import { formatAccount } from '@bitcloak/chain/manifest';
import { PoolClient, type Call, type ProvenTransfer } from '@bitcloak/chain/pool';
import { evaluate } from '@bitcloak/notes/evaluation';
import type { SpendingKey } from '@bitcloak/notes/keys';
import { commitmentOf, nullifierOf, stealthOf, type Commitment, type Lock, type Nullifier } from '@bitcloak/notes/note';
import { bindShown, shownValues, type TransferInput } from '@bitcloak/notes/transfer';
import {
  AMOUNT_MAX,
  DEPOSIT_CIPHERTEXT_BYTES,
  FIELD_MODULUS,
  NATIVE_ASSET,
  TRANSFER_CIPHERTEXT_BYTES,
  TREE_LEAVES,
} from '@bitcloak/protocol/parameters';
import { toBeHex, type Contract } from 'ethers';
import { deployContract, deployPool } from '../../scripts/deploy/contracts.ts';
import { openChain, type Chain } from '../support/chain.ts';
import { BUCKET_AGE_SECONDS, PoolBench, prover, type TestNote, type TransferWish } from '../support/pool.ts';
import { ACCEPTED, expectRefused, NO_DATA, outcome } from '../support/refusals.ts';

const BASE_MODULUS = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;
const WORD_MAX = 2n ** 256n - 1n;
const LOCK_SECONDS = 86_400n;

/** Words of a transfer's calldata behind the selector, where the typed client would not write what a test wants there. */
const WORD = { publicAsset: 16, recipient: 19, relayer: 20 } as const;

const FALSE_STATEMENT = { code: 'STATEMENT_FALSE' };

/** Changes some of what a proven transfer shows, and leaves its proof as it is. */
function altered(
  transfer: ProvenTransfer,
  { proof, shown, extData }: { [Part in keyof ProvenTransfer]?: Partial<ProvenTransfer[Part]> },
): ProvenTransfer {
  return {
    proof: (proof as bigint[] | undefined) ?? transfer.proof,
    shown: { ...transfer.shown, ...shown },
    extData: { ...transfer.extData, ...extData },
  };
}

/** A statement changed by its owner, who signs whatever serves. */
function signedAnew(input: TransferInput, key: SpendingKey, changes: Partial<TransferInput>): TransferInput {
  const changed = { ...input, ...changes };
  const bound = bindShown(changed.root, shownValues(changed));
  const { r8, s } = key.sign(bound.message);
  return { ...changed, ...bound, signatureR8: [r8.x, r8.y], signatureS: s };
}

function withWord(call: Call, index: number, value: bigint): Call {
  const at = 2 + 2 * (4 + 32 * index);
  return { ...call, data: call.data.slice(0, at) + toBeHex(value, 32).slice(2) + call.data.slice(at + 64) };
}

function wordOf(call: Call, index: number): bigint {
  const at = 2 + 2 * (4 + 32 * index);
  return BigInt(`0x${call.data.slice(at, at + 64)}`);
}

/** value + modulus, value + 2 modulus, … as far as a word holds them. */
function aliases(value: bigint, modulus: bigint): bigint[] {
  const found: bigint[] = [];
  for (let alias = value + modulus; alias <= WORD_MAX; alias += modulus) found.push(alias);
  return found;
}

describe('Pool: transfer', function () {
  this.timeout(300_000);
  let bench: PoolBench;
  let token: Contract;
  let asset: bigint;
  let key: SpendingKey;
  let first: TestNote;
  let second: TestNote;
  let third: TestNote;
  let locked: TestNote;
  let expiry: bigint;
  let riches: TestNote[];
  /** 400 of 1000 to account 9, of which 10 to account 8. */
  let withdrawal: ProvenTransfer;
  let startAgain: () => Promise<void>;

  const transferCall = (transfer: ProvenTransfer) => bench.client.transferCall(transfer);
  const refused = (transfer: ProvenTransfer, expected: string) =>
    expectRefused(bench, transferCall(transfer), expected);
  const balanceOf = (account: number) => bench.chain.provider.getBalance(bench.chain.signer(account).address);
  const statement = async (wish: Omit<TransferWish, 'key'>) => (await bench.plan({ key, ...wish })).input;
  const unprovable = (input: TransferInput) => assert.rejects(prover.prove('transfer', input), FALSE_STATEMENT);

  /** Proves what a cheating owner makes of a wish. */
  async function proveAnew(wish: Omit<TransferWish, 'key'>, changes: Partial<TransferInput>): Promise<ProvenTransfer> {
    const { input, extData } = await bench.plan({ key, ...wish });
    const shown = signedAnew(input, key, changes);
    return { proof: (await prover.prove('transfer', shown)).words, shown, extData };
  }

  before(async () => {
    bench = await PoolBench.open({ seed: 'transfer' });
    key = bench.keyring().spending;
    token = (await deployContract(bench.chain.signer(), 'DevelopmentToken')) as Contract;
    asset = BigInt(await token.getAddress());
    await (await token.getFunction('mint')(bench.chain.signer().address, 2n * AMOUNT_MAX)).wait();
    await (await token.getFunction('approve')(bench.contract().target, 2n * AMOUNT_MAX)).wait();
    expiry = (await bench.chain.now()) + LOCK_SECONDS;
    first = await bench.deposit(key, 1000n);
    second = await bench.deposit(key, 500n);
    third = await bench.deposit(key, 300n);
    locked = await bench.deposit(key, 700n, { lock: { operatorId: bench.element(), expiry } });
    riches = [await bench.deposit(key, AMOUNT_MAX, { asset }), await bench.deposit(key, AMOUNT_MAX, { asset })];
    await bench.insertAll();
    const relayer = BigInt(bench.chain.signer(8).address);
    withdrawal = await bench.prove({ key, inputs: [first], withdrawAmount: 400n, extData: { relayer, fee: 10n } });
    startAgain = await bench.chain.snapshot();
  });
  afterEach(() => startAgain());
  after(() => bench.close());

  it('pays out exactly what was signed and tells it in its events', async () => {
    const before = [await balanceOf(9), await balanceOf(8)] as const;
    await bench.send(withdrawal, bench.chain.signer(5));
    assert.deepEqual([await balanceOf(9), await balanceOf(8)], [before[0] + 390n, before[1] + 10n]);
    const [transferred, withdrawn] = (await bench.events()).slice(-2);
    const { nullifiers, commitments } = withdrawal.shown;
    assert.ok(transferred?.kind === 'transferred' && withdrawn?.kind === 'withdrawn');
    assert.equal(transferred.firstLeaf, 64);
    assert.deepEqual([transferred.nullifiers, transferred.commitments], [nullifiers, commitments]);
    assert.deepEqual(Buffer.from(transferred.ciphertext), Buffer.from(withdrawal.extData.ciphertext));
    const { block: _block, logIndex: _logIndex, transaction: _transaction, ...told } = withdrawn;
    const { recipient, relayer } = withdrawal.extData;
    assert.deepEqual(told, { kind: 'withdrawn', asset: NATIVE_ASSET, amount: 400n, recipient, relayer, fee: 10n });
    for (const nullifier of nullifiers) assert.equal(await bench.client.isSpent(nullifier), true);
  });

  describe('spends a note once', () => {
    const spentTwice = () => `NullifierSpent(${bench.nullifier(first)})`;

    it('whoever sends the same transfer again', async () => {
      await bench.send(withdrawal);
      await expectRefused(bench, transferCall(withdrawal), spentTwice(), { from: bench.chain.signer(7).address });
    });

    it('proven under another root, in either order, while every old root stays valid', async () => {
      await bench.deposit(key, 1n);
      await bench.insertAll();
      const newer = await bench.prove({ key, inputs: [first], withdrawAmount: 1000n });
      assert.notEqual(newer.shown.root, withdrawal.shown.root);
      assert.equal(await outcome(bench.chain, transferCall(newer)), ACCEPTED);
      await refused(altered(newer, { shown: { root: withdrawal.shown.root } }), 'InvalidProof()');
      await refused(altered(withdrawal, { shown: { root: newer.shown.root } }), 'InvalidProof()');
      const undo = await bench.chain.snapshot();
      await bench.send(withdrawal);
      await refused(newer, spentTwice());
      await undo();
      await bench.send(newer);
      await refused(withdrawal, spentTwice());
    });

    it('and not as both inputs of one transfer, which can be proven', async () => {
      const twice = await bench.prove({ key, inputs: [first, first], withdrawAmount: 2000n });
      await refused(twice, spentTwice());
    });

    it('after a reorganisation too, and under no root that the reorganisation took away', async () => {
      const undo = await bench.chain.snapshot();
      await bench.send(withdrawal);
      await undo();
      assert.equal(await bench.client.isSpent(bench.nullifier(first)), false);
      await bench.send(withdrawal);
      await refused(withdrawal, spentTwice());

      await undo();
      await bench.deposit(key, 1n);
      await bench.insertAll();
      const newer = await bench.prove({ key, inputs: [first] });
      await undo();
      await refused(newer, `UnknownRoot(${newer.shown.root})`);
    });
  });

  describe('binds a nullifier to the note and its place', () => {
    it('so that another index, within the tree or outside, cannot be proven', async () => {
      const input = await statement({ inputs: [first] });
      const commitment = commitmentOf(first.note);
      for (const index of [
        first.leaf + 1,
        second.leaf,
        TREE_LEAVES - 1,
        TREE_LEAVES + first.leaf,
        2 ** 40 + first.leaf,
      ]) {
        const nullifier = nullifierOf(key.keys.nullifierKey, commitment, index);
        assert.notEqual(nullifier, bench.nullifier(first));
        const nullifiers = [nullifier, input.nullifiers[1] as Nullifier];
        const inputLeafIndex = [BigInt(index), input.inputLeafIndex[1] as bigint];
        await unprovable(signedAnew(input, key, { nullifiers, inputLeafIndex }));
        await unprovable(signedAnew(input, key, { nullifiers }));
      }
      await unprovable(signedAnew(input, key, { inputLeafIndex: [FIELD_MODULUS - 1n, 0n] }));
    });

    it('so that an altered one is refused', async () => {
      for (const index of [0, 1]) {
        const nullifiers = [...withdrawal.shown.nullifiers];
        nullifiers[index] = ((nullifiers[index] as bigint) ^ 1n) as Nullifier;
        await refused(altered(withdrawal, { shown: { nullifiers } }), 'InvalidProof()');
      }
      const exchanged = [...withdrawal.shown.nullifiers].reverse();
      await refused(altered(withdrawal, { shown: { nullifiers: exchanged } }), 'InvalidProof()');
    });

    it('so that a worthless note at the place of a real one does not burn it', async () => {
      const worthless: TestNote = { note: bench.note(key, 0n), leaf: second.leaf, key };
      await bench.send(await bench.prove({ key, inputs: [third, worthless] }));
      assert.equal(await bench.client.isSpent(bench.nullifier(worthless)), true);
      assert.equal(await bench.client.isSpent(bench.nullifier(second)), false);
    });
  });

  describe('keeps what goes in equal to what comes out', () => {
    it('so that no output can be proven that is negative, too large or not covered', async () => {
      const tooMuch = 2n ** 120n;
      const outputs = [
        [1001n, 0n, 0n],
        [999n, 0n, 0n],
        [1001n, FIELD_MODULUS - 1n, 0n],
        [1000n + tooMuch, FIELD_MODULUS - tooMuch, 0n],
        [FIELD_MODULUS - 1n, 1001n, 0n],
      ];
      for (const values of outputs) {
        await unprovable(await statement({ inputs: [first], outputs: values.map((value) => bench.note(key, value)) }));
      }
      await unprovable(await statement({ inputs: riches, outputs: [bench.note(key, 2n * AMOUNT_MAX, { asset })] }));
      await unprovable(await statement({ inputs: [first], withdrawAmount: 1001n, outputs: [bench.note(key, 0n)] }));
      await unprovable(await statement({ inputs: [first], outputs: [bench.note(key, 1000n, { asset })] }));
    });

    it('so that a negative withdrawal, which can be proven, mints nothing', async () => {
      const minted = await bench.prove({
        key,
        inputs: [first],
        withdrawAmount: FIELD_MODULUS - 9000n,
        outputs: [bench.note(key, 10_000n)],
      });
      await refused(minted, `AmountOutOfRange(${FIELD_MODULUS - 9000n})`);
      // The residues that the pool would take for it: none of them is what was proven.
      for (const withdrawAmount of [9000n, 2n ** 120n - 1n]) {
        await refused(altered(minted, { shown: { withdrawAmount } }), 'InvalidProof()');
      }
    });

    it('so that 2^120 cannot be withdrawn at once, though it is covered, and 2^120 - 1 can', async () => {
      const change = [bench.note(key, AMOUNT_MAX - 1n, { asset })];
      const over = await bench.prove({ key, inputs: riches, withdrawAmount: AMOUNT_MAX + 1n, outputs: change });
      await refused(over, `AmountOutOfRange(${AMOUNT_MAX + 1n})`);
      await bench.send(await bench.prove({ key, inputs: [riches[0] as TestNote], withdrawAmount: AMOUNT_MAX }));
      assert.equal(await token.getFunction('balanceOf')(bench.chain.signer(9).address), AMOUNT_MAX);
    });

    it('so that no other asset can be withdrawn, or shown where nothing is', async () => {
      const input = await statement({ inputs: [first], withdrawAmount: 400n });
      await unprovable(signedAnew(input, key, { publicAsset: asset }));
      await unprovable(signedAnew(input, key, { publicAsset: 0n }));
      await unprovable(signedAnew(input, key, { publicAsset: asset, asset }));
      await unprovable(signedAnew(input, key, { publicAsset: NATIVE_ASSET + 2n ** 160n }));
      const marked = await proveAnew({ inputs: [first] }, { publicAsset: asset });
      await refused(marked, `PublicAsset(${await token.getAddress()}, 0)`);
    });
  });

  describe('lets nobody alter what was signed', () => {
    it('such as recipient, relayer, fee and ciphertext', async () => {
      const { recipient, relayer, ciphertext } = withdrawal.extData;
      const thief = BigInt(bench.chain.signer(6).address);
      const flipped = (index: number) => ciphertext.map((byte, at) => (at === index ? byte ^ 1 : byte));
      for (const extData of [
        { recipient: thief },
        { recipient: recipient ^ 1n },
        { relayer: thief },
        { recipient: relayer, relayer: recipient },
        { fee: 9n },
        { fee: 11n },
        { fee: 400n },
        { fee: 0n, relayer: 0n },
        { ciphertext: flipped(0) },
        { ciphertext: flipped(TRANSFER_CIPHERTEXT_BYTES - 1) },
        { ciphertext: new Uint8Array(TRANSFER_CIPHERTEXT_BYTES) },
      ]) {
        await refused(altered(withdrawal, { extData }), 'InvalidProof()');
      }
    });

    it('such as amount, asset, notes, time, message and root', async () => {
      const { commitments, message, root } = withdrawal.shown;
      for (const withdrawAmount of [1n, 399n, 401n, 1000n, AMOUNT_MAX]) {
        const fee = withdrawAmount < 10n ? { fee: withdrawAmount } : {};
        await refused(altered(withdrawal, { shown: { withdrawAmount }, extData: fee }), 'InvalidProof()');
      }
      await refused(altered(withdrawal, { shown: { publicAsset: asset } }), 'InvalidProof()');
      for (const index of [0, 1, 2]) {
        const changed = commitments.map((value, at) => (at === index ? commitmentOf(bench.note(key, 1000n)) : value));
        await refused(altered(withdrawal, { shown: { commitments: changed } }), 'InvalidProof()');
      }
      await refused(altered(withdrawal, { shown: { validAfter: 1n } }), 'InvalidProof()');
      await refused(altered(withdrawal, { shown: { validAfter: await bench.chain.now() } }), 'InvalidProof()');
      await refused(altered(withdrawal, { shown: { message: message ^ 1n } }), 'InvalidProof()');
      await refused(altered(withdrawal, { shown: { message: 0n } }), 'InvalidProof()');
      await refused(altered(withdrawal, { shown: { root: root ^ 1n } }), `UnknownRoot(${root ^ 1n})`);
      await refused(altered(withdrawal, { shown: { root: 0n } }), 'UnknownRoot(0)');
    });

    it('with other values that agree with the signed ones at the old challenge', async () => {
      const { shown } = withdrawal;
      const signed = { ...shown, extDataHash: bench.client.extDataHash(bench.chainId, withdrawal.extData) };
      const { challenge, evaluation } = bindShown(shown.root, shownValues(signed));
      const [lower, upper] = shown.nullifiers as [Nullifier, Nullifier];
      const nullifiers = [(lower + challenge) % FIELD_MODULUS, upper - 1n] as Nullifier[];
      assert.equal(evaluate(shownValues({ ...signed, nullifiers }), challenge), evaluation);
      await refused(altered(withdrawal, { shown: { nullifiers } }), 'InvalidProof()');

      const [one, two, three] = shown.commitments as [Commitment, Commitment, Commitment];
      const commitments = [one, two, (three + FIELD_MODULUS - challenge) % FIELD_MODULUS] as Commitment[];
      const withdrawAmount = shown.withdrawAmount + 1n;
      assert.equal(evaluate(shownValues({ ...signed, commitments, withdrawAmount }), challenge), evaluation);
      await refused(altered(withdrawal, { shown: { commitments, withdrawAmount } }), 'InvalidProof()');
    });

    it('nor show the pool something else than the circuit', async () => {
      const input = await statement({ inputs: [first], withdrawAmount: 400n });
      const wanted = shownValues({ ...input, withdrawAmount: 1000n });
      const { message, challenge, evaluation } = bindShown(input.root, wanted);
      const bound = { challenge, evaluation };
      await unprovable({ ...input, ...bound });
      await unprovable({ ...input, ...bound, message });
      await unprovable({ ...input, message });
    });

    it('nor sign for the owner', async () => {
      const stranger = bench.keyring().spending;
      const input = await statement({ inputs: [first], withdrawAmount: 400n });
      await unprovable(signedAnew(input, stranger, {}));
      const { x, y } = stranger.keys.publicKey;
      await unprovable(signedAnew(input, stranger, { publicKey: [x, y] }));
      await unprovable({ ...input, signatureS: (input.signatureS + 1n) % FIELD_MODULUS });
    });
  });

  describe('takes no alias and no malformed point', () => {
    it('in any word of the proof', async () => {
      for (const [index, word] of withdrawal.proof.entries()) {
        const changes = [...aliases(word, BASE_MODULUS), BASE_MODULUS, BASE_MODULUS - 1n, WORD_MAX, word ^ 1n, 0n];
        for (const change of changes) {
          const proof = withdrawal.proof.map((old, at) => (at === index ? change : old));
          const call = transferCall(altered(withdrawal, { proof }));
          const said = await outcome(bench.chain, call);
          assert.match(said, /^(InvalidProof\(\)|PrecompileFailed\([68]\))$/, `word ${index}: ${change}`);
          if (change >= BASE_MODULUS) assert.notEqual(said, 'InvalidProof()');
        }
      }
    });

    it('such as points at infinity, which prove nothing', async () => {
      for (const points of [
        [0, 2],
        [2, 6],
        [6, 8],
        [0, 8],
      ] as const) {
        const proof = [...withdrawal.proof].fill(0n, ...points);
        await refused(altered(withdrawal, { proof }), 'InvalidProof()');
      }
    });

    it('in any shown value', async () => {
      const { root, message, nullifiers, commitments, withdrawAmount, validAfter } = withdrawal.shown;
      const said = (shown: Partial<ProvenTransfer['shown']>) =>
        outcome(bench.chain, transferCall(altered(withdrawal, { shown })));
      for (const alias of aliases(root, FIELD_MODULUS))
        assert.equal(await said({ root: alias }), `UnknownRoot(${alias})`);
      for (const alias of aliases(message, FIELD_MODULUS)) {
        assert.equal(await said({ message: alias }), `SignalNotInField(0, 1, ${alias})`);
      }
      for (const [list, values] of Object.entries({ nullifiers, commitments })) {
        for (const [index, value] of values.entries()) {
          for (const alias of [...aliases(value, FIELD_MODULUS), WORD_MAX, FIELD_MODULUS]) {
            const changed = [...values];
            changed[index] = alias as Nullifier & Commitment;
            assert.equal(await said({ [list]: changed }), `NotInField(${alias})`);
          }
        }
      }
      for (const alias of [...aliases(withdrawAmount, FIELD_MODULUS), 2n ** 120n]) {
        assert.equal(await said({ withdrawAmount: alias }), `AmountOutOfRange(${alias})`);
      }
      for (const alias of aliases(validAfter, FIELD_MODULUS)) {
        assert.match(await said({ validAfter: alias }), new RegExp(`^NotYetValid\\(${alias}, `));
      }
    });

    it('in any address, whose upper bits must be clean', async () => {
      const call = transferCall(withdrawal);
      for (const [name, index] of Object.entries(WORD)) {
        const word = wordOf(call, index);
        assert.ok(word > 0n && word < 2n ** 160n, `${name} is where the test takes it to be`);
        for (const dirty of [2n ** 160n, 2n ** 255n, FIELD_MODULUS]) {
          await expectRefused(bench, withWord(call, index, word + dirty), NO_DATA);
        }
      }
    });

    it('in calldata that ends early', async () => {
      const call = transferCall(withdrawal);
      const words = (call.data.length - 10) / 64;
      for (let kept = 0; kept < words; kept++) {
        const said = await outcome(bench.chain, { ...call, data: call.data.slice(0, 10 + 64 * kept) });
        assert.equal(said, NO_DATA, `${kept} words`);
      }
    });
  });

  it('refuses recipients, relayers and fees that make no sense', async () => {
    const pool = bench.address;
    const { address: recipient } = bench.chain.signer(9);
    const { address: relayer } = bench.chain.signer(8);
    const nobody = toBeHex(0, 20);
    const poolAddress = formatAccount(bench.address);
    const cases: [extData: Partial<ProvenTransfer['extData']>, expected: string][] = [
      [{ recipient: 0n }, `Recipient(${nobody})`],
      [{ recipient: pool }, `Recipient(${poolAddress})`],
      [{ relayer: 0n }, `Relayer(${nobody}, 10)`],
      [{ fee: 0n }, `Relayer(${relayer}, 0)`],
      [{ relayer: pool }, `Relayer(${poolAddress}, 10)`],
      [{ fee: 401n }, 'FeeAboveAmount(401, 400)'],
      [{ fee: 10n + FIELD_MODULUS }, `FeeAboveAmount(${10n + FIELD_MODULUS}, 400)`],
      [{ ciphertext: new Uint8Array(TRANSFER_CIPHERTEXT_BYTES - 1) }, 'CiphertextLength(764, 763)'],
      [{ ciphertext: new Uint8Array(TRANSFER_CIPHERTEXT_BYTES + 1) }, 'CiphertextLength(764, 765)'],
      [{ ciphertext: new Uint8Array(0) }, 'CiphertextLength(764, 0)'],
    ];
    for (const [extData, expected] of cases) await refused(altered(withdrawal, { extData }), expected);
    const nothing = { withdrawAmount: 0n, publicAsset: 0n };
    await refused(
      altered(withdrawal, { shown: { withdrawAmount: 0n } }),
      `PublicAsset(${formatAccount(NATIVE_ASSET)}, 0)`,
    );
    await refused(altered(withdrawal, { shown: { publicAsset: 0n } }), `PublicAsset(${nobody}, 400)`);
    await refused(altered(withdrawal, { shown: nothing }), 'FeeAboveAmount(10, 0)');
    await refused(altered(withdrawal, { shown: nothing, extData: { fee: 0n } }), `Recipient(${recipient})`);
  });

  it('waits for validAfter and not a second longer', async () => {
    const validAfter = (await bench.chain.now()) + 1000n;
    const early = await bench.prove({ key, inputs: [first], validAfter });
    await bench.chain.setNextTime(validAfter - 1n);
    await refused(early, `NotYetValid(${validAfter}, ${validAfter - 1n})`);
    await bench.chain.setNextTime(validAfter);
    await bench.send(early);
  });

  describe('a locked note', () => {
    it('cannot be proven free before its expiry, on any path', async () => {
      const wish = { inputs: [locked], validAfter: expiry - 1n };
      const input = await statement(wish);
      await unprovable(input);
      const changes: Partial<TransferInput>[] = [
        { inputIsLocked: [0n, 0n] },
        { inputIsLocked: [2n, 0n] },
        { inputIsLocked: [FIELD_MODULUS - 1n, 0n] },
        { inputExpiry: [expiry - 1n, 0n] },
        { validAfter: 0n },
        { validAfter: FIELD_MODULUS - 1n },
        // Without its value it needs no inclusion, and then there is nothing to spend.
        { inputValue: [0n, 0n] },
      ];
      for (const change of changes) await unprovable(signedAnew(input, key, change));
      const { operatorId } = locked.note.lock as Lock;
      for (const lock of [undefined, { operatorId, expiry: 0n }, { operatorId: 0n, expiry: 0n }]) {
        const pretended: TestNote = { ...locked, note: { ...locked.note, lock } };
        await unprovable(await statement({ ...wish, inputs: [pretended] }));
      }
      await unprovable(await statement({ inputs: [first, locked], validAfter: expiry - 1n }));
      await unprovable(await statement({ inputs: [locked], validAfter: expiry - 1n, withdrawAmount: 700n }));
    });

    it('is refused by the pool before its expiry and is its owner’s from then on', async () => {
      const release = await bench.prove({ key, inputs: [locked], validAfter: expiry, withdrawAmount: 700n });
      await refused(altered(release, { shown: { validAfter: await bench.chain.now() } }), 'InvalidProof()');
      await bench.chain.setNextTime(expiry - 1n);
      await refused(release, `NotYetValid(${expiry}, ${expiry - 1n})`);
      const before = await balanceOf(9);
      await bench.chain.setNextTime(expiry);
      await bench.send(release);
      assert.equal(await balanceOf(9), before + 700n);
      await refused(release, `NullifierSpent(${bench.nullifier(locked)})`);
    });
  });

  it('empties the pool: every note can be withdrawn', async () => {
    await bench.chain.setTime(expiry);
    const [one, other] = riches as [TestNote, TestNote];
    await bench.send(await bench.prove({ key, inputs: [first, second], withdrawAmount: 1500n }));
    await bench.send(await bench.prove({ key, inputs: [third, locked], withdrawAmount: 1000n, validAfter: expiry }));
    await bench.send(await bench.prove({ key, inputs: [one], withdrawAmount: AMOUNT_MAX }));
    await bench.send(await bench.prove({ key, inputs: [other], withdrawAmount: AMOUNT_MAX }));
    const pool = bench.contract();
    assert.equal(await bench.chain.provider.getBalance(pool.target), 0n);
    assert.equal(await token.getFunction('balanceOf')(pool.target), 0n);
    assert.equal(await pool.getFunction('held')(await token.getAddress()), 0n);
  });
});

describe('Pool: a transfer stays on its chain and in its pool', function () {
  this.timeout(300_000);
  const chains: Chain[] = [];
  let bench: PoolBench;
  let deposited: Call;
  let inserted: Call;
  let withdrawal: ProvenTransfer;

  /** Brings a pool to the root that the bench's pool has: deposits and insertions prove nothing about where they happen. */
  async function imitate(chain: Chain, pool: bigint): Promise<PoolClient> {
    const client = new PoolClient(pool, chain.signer());
    const to = (call: Call): Call => ({ ...call, to: client.closeCall().to });
    await client.send(to(deposited));
    await chain.increaseTime(BUCKET_AGE_SECONDS);
    await client.send(client.closeCall());
    await client.send(to(inserted));
    assert.equal(await client.isKnownRoot(withdrawal.shown.root), true);
    return client;
  }

  async function anotherPool(chain: Chain): Promise<bigint> {
    const [guardian, governor] = [chain.signer(1).address, chain.signer(2).address];
    const deployed = await deployPool(chain.signer(), { guardian, governor, bucketAgeSeconds: BUCKET_AGE_SECONDS });
    return BigInt(deployed.pool);
  }

  async function poolOnChain(chainId: number): Promise<{ chain: Chain; client: PoolClient }> {
    const chain = await openChain({ chainId });
    chains.push(chain);
    const pool = await anotherPool(chain);
    assert.equal(pool, bench.address, 'the address is the same, so that nothing but the chain differs');
    return { chain, client: await imitate(chain, pool) };
  }

  before(async () => {
    bench = await PoolBench.open({ seed: 'replay' });
    chains.push(bench.chain);
    const key = bench.keyring().spending;
    const note = bench.note(key, 1000n);
    deposited = bench.client.depositCall(NATIVE_ASSET, 1000n, stealthOf(note), bench.bytes(DEPOSIT_CIPHERTEXT_BYTES));
    await bench.client.send(deposited);
    await bench.closeBucket();
    const { bucket, leaves, input } = await bench.insertion();
    inserted = bench.client.insertCall(bucket, leaves, input, (await prover.prove('insertion', input)).words);
    await bench.client.send(inserted);
    withdrawal = await bench.prove({ key, inputs: [{ note, leaf: 0, key }], withdrawAmount: 1000n });
  });
  after(async () => {
    for (const chain of chains) await chain.close();
  });

  it('refused by another pool of the same chain', async () => {
    const client = await imitate(bench.chain, await anotherPool(bench.chain));
    const call = client.transferCall(withdrawal);
    assert.equal(await outcome(bench.chain, call), 'InvalidProof()');
    assert.equal(await outcome(bench.chain, { ...call, to: bench.client.closeCall().to }), ACCEPTED);
  });

  it('refused by the same pool on another chain', async () => {
    const { chain, client } = await poolOnChain(1337);
    assert.equal(await outcome(chain, client.transferCall(withdrawal)), 'InvalidProof()');
  });

  it('accepted by the same pool on a chain of the same number, which shows that nothing else refused it', async () => {
    const { chain, client } = await poolOnChain(31337);
    assert.equal(await outcome(chain, client.transferCall(withdrawal)), ACCEPTED);
  });
});
