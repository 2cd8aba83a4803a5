pragma circom 2.2.0;

include "circomlib/circuits/babyjub.circom";
include "circomlib/circuits/bitify.circom";
include "circomlib/circuits/eddsaposeidon.circom";
include "merkle.circom";
include "note.circom";

// Statement: the owner of up to two notes of one asset, each of them in the tree under `root` and free of locks at validAfter,
// signed this transfer; it spends them into three notes of the same asset and, where withdrawAmount is not 0, a public
// withdrawal of that asset; what goes in is what comes out.
//
// What the transfer shows (two nullifiers, three commitments, withdrawAmount, publicAsset, extDataHash, validAfter) is not a public signal
// each, which would cost a multiplication on chain each: `message`, the hash that the owner signs, commits to all of it, and the polynomial
// with those coefficients, lowest first, has the value `evaluation` at `challenge`.
//
// The pool guarantees: challenge = keccak(root, message, the shown values) mod p and evaluation is the value at it of the polynomial of the shown
// values, so that two different lists agree there with a probability below 2^-250; every shown value is below the field's modulus;
// withdrawAmount < 2^120; publicAsset < 2^160 and 0 where withdrawAmount is 0; validAfter <= block time < 2^40; root is one that the tree had;
// both nullifiers are new, marked one after the other (nothing here makes them differ); every leaf that opens as a commitment has a
// value < 2^120, since [7] bounds only what goes out.
//
// The numbers of the steps are those of docs/spec/transfer.md. Constraints: pinned in circuits/pins/transfer.json.
template Transfer(depth, inputCount, outputCount) {
    // --- public -----------------------------------------------------------------------------------------------------
    signal input root;
    signal input message;
    signal input challenge;
    signal input evaluation;

    // --- shown by the transfer, bound through message and evaluation ------------------------------------------------
    signal input nullifiers[inputCount];
    signal input commitments[outputCount];
    signal input withdrawAmount;                // < 2^120, by the pool
    signal input publicAsset;                   // < 2^160, by the pool
    signal input extDataHash;                   // recipient, relayer, fee, ciphertexts, chain, pool
    signal input validAfter;                    // unix seconds < 2^40, by the pool

    // --- the owner --------------------------------------------------------------------------------------------------
    signal input publicKey[2];                  // A, a point of BabyJubJub
    signal input nullifierKey;
    signal input signatureR8[2];
    signal input signatureS;

    // --- the notes --------------------------------------------------------------------------------------------------
    signal input asset;
    signal input inputValue[inputCount];        // 0 for a dummy, which needs no inclusion
    signal input inputBlinding[inputCount];
    signal input inputIsLocked[inputCount];     // 0 or 1
    signal input inputOperatorId[inputCount];   // of the lock, where there is one
    signal input inputExpiry[inputCount];       // of the lock, unix seconds < 2^40, where there is one
    signal input inputLeafIndex[inputCount];    // < 4^depth
    signal input inputSiblings[inputCount][depth][3];
    signal input outputValue[outputCount];      // < 2^120
    signal input outputStealth[outputCount];

    // [1] The owner is the holder of the public key and the nullifier key.
    signal owner <== Owner()(publicKey, nullifierKey);

    component indexBits[inputCount];
    signal inputCommitment[inputCount];
    signal inputRoot[inputCount];
    signal inputNullifier[inputCount];
    signal lockedUntil[inputCount];
    for (var i = 0; i < inputCount; i++) {
        // [2] A flag of a lock is 0 or 1.
        inputIsLocked[i] * (1 - inputIsLocked[i]) === 0;

        // [3] A locked note is spent after its expiry only. All three are below 2^40, so the difference cannot wrap.
        _ <== Num2Bits(TIME_BITS())(inputExpiry[i]);
        lockedUntil[i] <== inputIsLocked[i] * inputExpiry[i];
        _ <== Num2Bits(TIME_BITS())(validAfter - lockedUntil[i]);

        // [4] The note's commitment, by the owner of [1] and the lock of [3].
        inputCommitment[i] <== Commitment()(asset, inputValue[i], Stealth()(
            owner, inputBlinding[i], Lock()(inputIsLocked[i], inputOperatorId[i], inputExpiry[i])
        ));

        // [5] A note that is worth anything is in the tree, at its index. The index has 2·depth bits: there is none outside the tree.
        indexBits[i] = Num2Bits(2 * depth);
        indexBits[i].in <== inputLeafIndex[i];
        inputRoot[i] <== RootFromPath(depth)(inputCommitment[i], indexBits[i].out, inputSiblings[i]);
        inputValue[i] * (inputRoot[i] - root) === 0;

        // [6] The nullifier is the one of this note at this index.
        inputNullifier[i] <== Nullifier()(nullifierKey, inputCommitment[i], inputLeafIndex[i]);
        nullifiers[i] === inputNullifier[i];
    }

    var sumIn = 0;
    for (var i = 0; i < inputCount; i++) {
        sumIn += inputValue[i];
    }
    var sumOut = withdrawAmount;
    signal outputCommitment[outputCount];
    for (var j = 0; j < outputCount; j++) {
        // [7] Every value that goes out is below 2^120: no sum wraps.
        _ <== Num2Bits(AMOUNT_BITS())(outputValue[j]);

        // [8] The commitments of the new notes, of the asset that was spent.
        outputCommitment[j] <== Commitment()(asset, outputValue[j], outputStealth[j]);
        commitments[j] === outputCommitment[j];
        sumOut += outputValue[j];
    }

    // [9] What goes in is what comes out.
    sumIn === sumOut;

    // [10] What is withdrawn is of the asset that was spent.
    withdrawAmount * (publicAsset - asset) === 0;

    // [11] The message is the hash of everything that the transfer shows. It leaves out the root, so that a proof can be made again
    //      under a newer one without the owner.
    var shownCount = inputCount + outputCount + 4;
    signal shown[shownCount];
    for (var i = 0; i < inputCount; i++) {
        shown[i] <== nullifiers[i];
    }
    for (var j = 0; j < outputCount; j++) {
        shown[inputCount + j] <== commitments[j];
    }
    shown[shownCount - 4] <== withdrawAmount;
    shown[shownCount - 3] <== publicAsset;
    shown[shownCount - 2] <== extDataHash;
    shown[shownCount - 1] <== validAfter;
    signal shownHash <== Hash(shownCount, TAG_TRANSFER())(shown);
    message === shownHash;

    // [12] What is shown here is what the pool evaluated (Horner's rule, from the highest coefficient).
    signal partial[shownCount];
    partial[shownCount - 1] <== shown[shownCount - 1];
    for (var i = shownCount - 2; i >= 0; i--) {
        partial[i] <== partial[i + 1] * challenge + shown[i];
    }
    evaluation === partial[0];

    // [13] Both points of the signature are on the curve, which circomlib's verifier takes for granted.
    BabyCheck()(publicKey[0], publicKey[1]);
    BabyCheck()(signatureR8[0], signatureR8[1]);

    // [14] The owner signed the message.
    EdDSAPoseidonVerifier()(
        enabled <== 1,
        Ax <== publicKey[0],
        Ay <== publicKey[1],
        S <== signatureS,
        R8x <== signatureR8[0],
        R8y <== signatureR8[1],
        M <== message
    );
}
