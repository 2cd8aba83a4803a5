pragma circom 2.2.0;

include "circomlib/circuits/babyjub.circom";
include "circomlib/circuits/bitify.circom";
include "circomlib/circuits/comparators.circom";
include "circomlib/circuits/eddsaposeidon.circom";
include "merkle.circom";
include "note.circom";
include "order.circom";

// Statement: the owner of up to two notes of sellAsset, each of them in the tree under `root` and locked to this operator until validUntil or
// later, signed this order; the order is fresh, or its state after k fills is in the tree; the fill sells `sold` of the notes for `bought`
// of buyAsset, within what the order has left and at its limit or better; what the notes are worth beyond `sold` goes back to the owner under the first
// note's lock, `bought` goes to payTo; and with the nullifier key alone everything that opens both can be read from the public signals.
//
// Where `bought` comes from is the business of the clearing, which opens `fill`.
//
// The pool guarantees: validUntil is after block time and at most an hour later, so below 2^40; operatorId is that of the operator whose signer signed
// the settlement; root is one that a tree had; every signal is below the field's modulus; all nullifiers, the order's too, are new, marked one
// after the other (nothing here makes them differ); every leaf that opens as a commitment has a value < 2^120.
//
// The numbers of the steps are those of docs/spec/fill.md. Constraints: pinned in circuits/pins/fill.json.
template Fill(depth, inputCount) {
    // --- public -----------------------------------------------------------------------------------------------------
    signal input root;
    signal input operatorId;
    signal input validUntil;                    // unix seconds < 2^40, by the pool
    signal input nullifiers[inputCount];
    signal input orderNullifier;
    signal input change;                        // commitments, in the order in which they become leaves
    signal input proceeds;
    signal input orderState;
    signal input fill;
    signal input words[3];                      // what opens change and proceeds, under pads

    // --- the owner --------------------------------------------------------------------------------------------------
    signal input publicKey[2];                  // A, a point of BabyJubJub
    signal input nullifierKey;
    signal input signatureR8[2];
    signal input signatureS;

    // --- the order --------------------------------------------------------------------------------------------------
    signal input sellAsset;
    signal input buyAsset;                      // < 2^160
    signal input sellMax;                       // < 2^120
    signal input buyMin;                        // < 2^120, for sellMax
    signal input expiry;                        // unix seconds < 2^40
    signal input payTo;                         // an owner
    signal input relockExpiry;                  // unix seconds < 2^40, 0 for no lock
    signal input salt;

    // --- its state --------------------------------------------------------------------------------------------------
    signal input filled;                        // sold by the k fills before
    signal input k;
    signal input stateLeafIndex;                // < 4^depth; of no account where k is 0
    signal input stateSiblings[depth][3];

    // --- the notes --------------------------------------------------------------------------------------------------
    signal input inputValue[inputCount];        // 0 for a dummy, which needs no inclusion
    signal input inputBlinding[inputCount];
    signal input inputExpiry[inputCount];       // of the lock, unix seconds < 2^40, the first not the later one
    signal input inputLeafIndex[inputCount];    // < 4^depth
    signal input inputSiblings[inputCount][depth][3];

    // --- the fill ---------------------------------------------------------------------------------------------------
    signal input sold;                          // < 2^120
    signal input bought;                        // < 2^120
    signal input r;                             // fresh randomness, which hides the fill

    // [1] The owner is the holder of the public key and the nullifier key.
    signal owner <== Owner()(publicKey, nullifierKey);

    // [2] The order is the owner's, for this operator.
    signal orderHash <== OrderHash()(
        owner, operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt
    );

    // [3] Both points of the signature are on the curve, which circomlib's verifier takes for granted.
    BabyCheck()(publicKey[0], publicKey[1]);
    BabyCheck()(signatureR8[0], signatureR8[1]);

    // [4] The owner signed the order.
    EdDSAPoseidonVerifier()(
        enabled <== 1,
        Ax <== publicKey[0],
        Ay <== publicKey[1],
        S <== signatureS,
        R8x <== signatureR8[0],
        R8y <== signatureR8[1],
        M <== orderHash
    );

    // [5] The order's times are times, and it is valid until validUntil or later.
    _ <== Num2Bits(TIME_BITS())(expiry);
    _ <== Num2Bits(TIME_BITS())(expiry - validUntil);
    _ <== Num2Bits(TIME_BITS())(relockExpiry);

    // [6] Nothing is filled of a fresh order.
    signal isFresh <== IsZero()(k);
    isFresh * filled === 0;

    // [7] The state of any other order is in the tree.
    component stateBits = Num2Bits(2 * depth);
    stateBits.in <== stateLeafIndex;
    signal stateRoot <== RootFromPath(depth)(OrderState()(orderHash, filled, k), stateBits.out, stateSiblings);
    (1 - isFresh) * (stateRoot - root) === 0;

    // [8] The order's nullifier is the one of this state: after k fills there is one more at most.
    signal stateNullifier <== OrderNullifier()(nullifierKey, orderHash, k);
    orderNullifier === stateNullifier;

    component indexBits[inputCount];
    signal inputLock[inputCount];
    signal inputCommitment[inputCount];
    signal inputRoot[inputCount];
    signal inputNullifier[inputCount];
    var sumIn = 0;
    for (var i = 0; i < inputCount; i++) {
        // [9] A lock's expiry is a time, and not before validUntil.
        _ <== Num2Bits(TIME_BITS())(inputExpiry[i]);
        _ <== Num2Bits(TIME_BITS())(inputExpiry[i] - validUntil);

        // [10] The note's commitment: of the asset that the order sells, by the owner of [1], locked to this operator.
        inputLock[i] <== Lock()(1, operatorId, inputExpiry[i]);
        inputCommitment[i] <== Commitment()(sellAsset, inputValue[i], Stealth()(owner, inputBlinding[i], inputLock[i]));

        // [11] A note that is worth anything is in the tree, at its index. The index has 2·depth bits: there is none outside the tree.
        indexBits[i] = Num2Bits(2 * depth);
        indexBits[i].in <== inputLeafIndex[i];
        inputRoot[i] <== RootFromPath(depth)(inputCommitment[i], indexBits[i].out, inputSiblings[i]);
        inputValue[i] * (inputRoot[i] - root) === 0;

        // [12] The nullifier is the one of this note at this index.
        inputNullifier[i] <== Nullifier()(nullifierKey, inputCommitment[i], inputLeafIndex[i]);
        nullifiers[i] === inputNullifier[i];
        sumIn += inputValue[i];
    }

    // [13] The first lock does not expire later than the others, so that the change under it is not locked for longer than what it comes from.
    for (var i = 1; i < inputCount; i++) {
        _ <== Num2Bits(TIME_BITS())(inputExpiry[i] - inputExpiry[0]);
    }

    // [14] What is sold, bought and left are amounts: no sum and no product below wraps.
    signal rest <== sumIn - sold;
    _ <== Num2Bits(AMOUNT_BITS())(sold);
    _ <== Num2Bits(AMOUNT_BITS())(bought);
    _ <== Num2Bits(AMOUNT_BITS())(rest);

    // [15] The order's own numbers have the size of what they are.
    _ <== Num2Bits(AMOUNT_BITS())(sellMax);
    _ <== Num2Bits(AMOUNT_BITS())(buyMin);
    _ <== Num2Bits(ASSET_BITS())(buyAsset);

    // [16] No more is sold, in all fills together, than the order sells at most. `filled` was such a sum before, so it is an amount.
    _ <== Num2Bits(AMOUNT_BITS())(sellMax - filled - sold);

    // [17] The price is the order's limit or better: sold·buyMin <= bought·sellMax.
    signal least <== sold * buyMin;
    signal most <== bought * sellMax;
    _ <== Num2Bits(2 * AMOUNT_BITS())(most - least);

    // [18] The fill commitment is that of this fill.
    signal fillCommitment <== FillCommitment()(sellAsset, sold, buyAsset, bought, r);
    fill === fillCommitment;

    // [19] The change: the owner's, of sellAsset, under the lock of the first note.
    signal changeBlinding <== Hash(4, TAG_BLINDING())([nullifierKey, fill, nullifiers[0], 0]);
    signal changeCommitment <== Commitment()(sellAsset, rest, Stealth()(owner, changeBlinding, inputLock[0]));
    change === changeCommitment;

    // [20] The proceeds: those of payTo, of buyAsset, locked again where the order says so, and then the owner's own.
    signal isPlain <== IsZero()(relockExpiry);
    (1 - isPlain) * (payTo - owner) === 0;
    signal proceedsLock <== Lock()(1 - isPlain, operatorId, relockExpiry);
    signal proceedsBlinding <== Hash(4, TAG_BLINDING())([nullifierKey, fill, nullifiers[0], 1]);
    signal proceedsCommitment <== Commitment()(buyAsset, bought, Stealth()(payTo, proceedsBlinding, proceedsLock));
    proceeds === proceedsCommitment;

    // [21] The order's next state.
    signal nextState <== OrderState()(orderHash, filled + sold, k + 1);
    orderState === nextState;

    // [22] The words tell whoever knows the nullifier key what opens change and proceeds.
    signal pads[3];
    for (var i = 0; i < 3; i++) {
        pads[i] <== Hash(4, TAG_PAD())([nullifierKey, fill, nullifiers[0], i]);
    }
    words[0] === pads[0] + sold + 2 ** AMOUNT_BITS() * rest;
    words[1] === pads[1] + bought + 2 ** AMOUNT_BITS() * relockExpiry;
    words[2] === pads[2] + buyAsset + 2 ** ASSET_BITS() * inputExpiry[0];
}
