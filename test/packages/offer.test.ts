import assert from 'node:assert/strict';
import { askedOffer, feesOf, raisedOffer, type Offer } from '@bitcloak/chain/offer';
import { FeeData } from 'ethers';

const AMPLE = 10n ** 30n;

describe('an offer for gas', () => {
  const asked: Offer = { most: 1_000n, tip: 100n };

  it('is what the chain asks, with or without a base fee', () => {
    for (const [fees, offer] of [
      [new FeeData(900n, 1_000n, 100n), asked],
      [new FeeData(900n, null, null), { most: 900n, tip: undefined }],
      [new FeeData(900n, null, 100n), { most: 900n, tip: undefined }],
    ] as const) {
      assert.deepEqual(askedOffer(fees), offer);
    }
    assert.deepEqual(feesOf(asked), { maxFeePerGas: 1_000n, maxPriorityFeePerGas: 100n });
    assert.deepEqual(feesOf({ most: 900n, tip: undefined }), { gasPrice: 900n });
  });

  it('is raised in both parts by an eighth and what that is rounded by, or to what is asked', () => {
    assert.deepEqual(raisedOffer(asked, asked, AMPLE), { most: 1_126n, tip: 113n });
    assert.deepEqual(raisedOffer({ most: 500n, tip: 5n }, asked, AMPLE), asked);
    assert.deepEqual(raisedOffer({ most: 500n, tip: 200n }, asked, AMPLE), { most: 1_000n, tip: 226n });
    assert.deepEqual(raisedOffer({ most: 1n, tip: 0n }, { most: 1n, tip: 0n }, AMPLE), { most: 2n, tip: 1n });
  });

  it('is one of one part where one of the two has no other', () => {
    const whole = { most: 500n, tip: undefined };
    assert.deepEqual(raisedOffer(whole, asked, AMPLE), { most: 1_000n, tip: undefined });
    assert.deepEqual(raisedOffer(asked, whole, AMPLE), { most: 1_126n, tip: undefined });
  });

  it('never has a tip above the whole, nor is it above what can be paid', () => {
    const tight = { most: 1_000n, tip: 990n };
    for (let most = 1_126n; most < 1_400n; most++) {
      const raised = raisedOffer(tight, { most: 1_300n, tip: 1_300n }, most);
      assert.deepEqual(raised, { most: most < 1_300n ? most : 1_300n, tip: most < 1_300n ? most : 1_300n });
    }
    assert.equal(raisedOffer(tight, { most: 1_300n, tip: 1_300n }, 1_125n), undefined);
    assert.equal(raisedOffer(tight, asked, -5n), undefined);
  });

  it('ends at four times what is asked, in steps that any node takes', () => {
    let offer = asked;
    for (let steps = 0; ; steps++) {
      const next = raisedOffer(offer, asked, AMPLE);
      if (next === undefined) {
        assert.ok(offer.most > 3_500n && steps === 11, `${offer.most} after ${steps}`);
        break;
      }
      assert.ok(next.most <= 4_000n && next.most * 10n >= offer.most * 11n);
      assert.ok(next.tip !== undefined && offer.tip !== undefined && next.tip * 10n >= offer.tip * 11n);
      offer = next;
    }
    assert.equal(raisedOffer({ most: 5_000n, tip: 1n }, asked, AMPLE), undefined);
    assert.equal(raisedOffer({ most: 0n, tip: 0n }, { most: 0n, tip: 0n }, AMPLE), undefined);
  });
});
