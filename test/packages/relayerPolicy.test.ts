import assert from 'node:assert/strict';
import type { PoolClient, ProvenTransfer } from '@bitcloak/chain/pool';
import { encodeMessage, type NoteMessage } from '@bitcloak/notes/message';
import { SlotSealer } from '@bitcloak/crypto/noteEncryption';
import { blindingFrom, commitmentOf, type Commitment, type Note, type Nullifier } from '@bitcloak/notes/note';
import { NATIVE_ASSET, TRANSFER_OUTPUTS } from '@bitcloak/protocol/parameters';
import { Policy } from '@bitcloak/relayer/policy';
import type { JsonRpcApiProvider } from 'ethers';
import { addressOf, FEE, relayerKeys } from '../support/relayer.ts';

const TOKEN = 77n;
const me = addressOf(relayerKeys);

/** A chain that takes every transfer, so that what is left to refuse is the fee note. */
const agreeable = {
  address: 5n,
  isSpent: () => Promise.resolve(false),
  isKnownRoot: () => Promise.resolve(true),
  simulate: () => Promise.resolve(undefined),
  transferCall: () => ({ to: '0x', data: '0x', value: 0n }),
} as unknown as PoolClient;
const endpoint = {
  getBlock: () => Promise.resolve({ timestamp: 10_000 }),
  estimateGas: () => Promise.resolve(400_000n),
} as unknown as JsonRpcApiProvider;

const received: NoteMessage = { kind: 'received', asset: NATIVE_ASSET, value: FEE.transfer };

/** How a fee is paid; everything right unless said otherwise. */
type Payment = {
  /** Slot of the ciphertext that says so. */
  slot?: number;
  message?: NoteMessage;
  /** Output that holds it. */
  output?: number;
  note?: Partial<Note>;
  viewingKey?: Uint8Array;
};

function paying({
  slot = 4,
  message = received,
  output = 2,
  note,
  viewingKey = me.viewingKey,
}: Payment): ProvenTransfer {
  const sealer = new SlotSealer();
  let secret = new Uint8Array(16);
  for (let number = 0; number < 2 * TRANSFER_OUTPUTS; number++) {
    if (number === slot) secret = new Uint8Array(sealer.seal(viewingKey, encodeMessage(message)));
    else sealer.fill();
  }
  const { asset, value } = message;
  const paid: Note = { asset, value, owner: me.owner, blinding: blindingFrom(secret), lock: undefined, ...note };
  const commitments = [1n, 2n, 3n].map((other, i) => (i === output ? commitmentOf(paid) : (other as Commitment)));
  const shown = { root: 9n, message: 8n, nullifiers: [6n, 7n] as Nullifier[], commitments };
  return {
    proof: new Array<bigint>(8).fill(1n),
    shown: { ...shown, withdrawAmount: 0n, publicAsset: 0n, validAfter: 3_600n },
    extData: { recipient: 0n, relayer: 0n, fee: 0n, ciphertext: sealer.finish() },
  };
}

describe("the relayer's fee note", () => {
  const fees = new Map([
    [NATIVE_ASSET, FEE],
    [TOKEN, { withdrawal: 9n, transfer: 8n }],
  ]);
  const policy = new Policy({ pool: agreeable, endpoint, keyring: relayerKeys, fees, gasMax: 450_000n }, 4n);

  const fine: [string, Payment][] = [
    ['holds the fee', {}],
    ['holds more', { message: { ...received, value: FEE.transfer + 1n } }],
    ['is of any asset that has a fee', { message: { ...received, asset: TOKEN, value: 8n } }],
    ['is told of in the second slot of its output', { slot: 5 }],
  ];
  for (const [name, payment] of fine) {
    it(`counts where it ${name}`, async () => {
      const transfer = paying(payment);
      const { gasLimit, nullifiers } = await policy.admit(transfer);
      // A fifth above the estimate, and never above what the service pays for.
      assert.deepEqual([gasLimit, nullifiers], [450_000n, transfer.shown.nullifiers]);
    });
  }

  const lock = { operatorId: 1n, expiry: 2n };
  const poor: [string, Payment, string][] = [
    ['holds too little', { message: { ...received, value: FEE.transfer - 1n } }, 'FEE_INSUFFICIENT'],
    ['holds less than it says', { note: { value: 1n } }, 'FEE_INSUFFICIENT'],
    ['is of another asset than it says', { note: { asset: TOKEN } }, 'FEE_INSUFFICIENT'],
    ['is of an asset without a fee', { message: { ...received, asset: 78n } }, 'RELAYER_REFUSED'],
    ['belongs to somebody else', { note: { owner: 5n } }, 'FEE_INSUFFICIENT'],
    ['has another blinding', { note: { blinding: 5n } }, 'FEE_INSUFFICIENT'],
    ['is locked', { note: { lock } }, 'FEE_INSUFFICIENT'],
    [
      'is sealed to somebody else',
      { viewingKey: addressOf(relayerKeys).viewingKey.map((byte) => byte ^ 1) },
      'FEE_INSUFFICIENT',
    ],
    ['is told of in the slot of another output', { slot: 3 }, 'FEE_INSUFFICIENT'],
    ['is another output', { output: 1 }, 'FEE_INSUFFICIENT'],
    ['is both the wrong slot and output', { slot: 0, output: 0 }, 'FEE_INSUFFICIENT'],
    [
      'is told of as a payment that was sent',
      { message: { ...received, kind: 'sent', recipient: me } },
      'FEE_INSUFFICIENT',
    ],
    [
      'is told of as a locked one',
      { message: { ...received, ...lock, kind: 'locked', index: 0, secret: new Uint8Array(16) } },
      'FEE_INSUFFICIENT',
    ],
  ];
  for (const [name, payment, code] of poor) {
    it(`does not count where it ${name}`, async () => {
      await assert.rejects(policy.admit(paying(payment)), { code, status: 422 });
    });
  }
});
