pragma circom 2.2.0;

include "circomlib/circuits/bitify.circom";
include "note.circom";
include "order.circom";

// Statement: `commitment` is the hash of a settlement's fill commitments and of the commitments of its residual notes; all of them open, and
// for every asset what the fills sold is what they bought plus what the residual notes are worth. Which assets those are is not shown.
//
// With x = commitment, hashed from everything that is opened, every asset a contributes amount/(x - a) to one sum. As a function of x that
// sum is 0 only if the amounts of every asset cancel out: each is an integer below 36·2^120 in size, so none wraps. If they do not cancel out, it is
// 0 for fewer than 36 of the p values of x.
//
// The pool guarantees: challenge = keccak(commitment, fill commitments, residual commitments) mod p and evaluation is the value at it of their
// polynomial; every one of them is below the field's modulus; a fill commitment stands there for each proven fill, in their order, and the commitment of
// the fill of nothing, H_FILL(0, 0, 0, 0, 0), in the places behind. A proven fill's amounts are below 2^120.
//
// The numbers of the steps are those of docs/spec/clearing.md. Constraints: pinned in circuits/pins/clearing.json.
template Clearing(fillCount, residualCount) {
    // --- public -----------------------------------------------------------------------------------------------------
    signal input commitment;
    signal input challenge;
    signal input evaluation;

    // --- shown by the settlement, bound through the public signals ----------------------------------------------------
    signal input fills[fillCount];
    signal input residuals[residualCount];

    // --- what they hide -----------------------------------------------------------------------------------------------
    signal input sellAsset[fillCount];
    signal input sold[fillCount];
    signal input buyAsset[fillCount];
    signal input bought[fillCount];
    signal input r[fillCount];
    signal input residualAsset[residualCount];
    signal input residualValue[residualCount];  // < 2^120
    signal input residualStealth[residualCount];

    // [1] The commitment is the hash of everything that is shown.
    var shownCount = fillCount + residualCount;
    signal shown[shownCount];
    for (var i = 0; i < fillCount; i++) {
        shown[i] <== fills[i];
    }
    for (var j = 0; j < residualCount; j++) {
        shown[fillCount + j] <== residuals[j];
    }
    signal fillsHash <== Hash(fillCount, TAG_FILLS())(fills);
    var hashed[residualCount + 1];
    hashed[0] = fillsHash;
    for (var j = 0; j < residualCount; j++) {
        hashed[j + 1] = residuals[j];
    }
    signal shownHash <== Hash(residualCount + 1, TAG_CLEARING())(hashed);
    commitment === shownHash;

    // [2] What is shown here is what the pool evaluated (Horner's rule, from the highest coefficient).
    signal partial[shownCount];
    partial[shownCount - 1] <== shown[shownCount - 1];
    for (var i = shownCount - 2; i >= 0; i--) {
        partial[i] <== partial[i + 1] * challenge + shown[i];
    }
    evaluation === partial[0];

    var sum = 0;
    signal fillCommitment[fillCount];
    signal sellShare[fillCount];
    signal buyShare[fillCount];
    for (var i = 0; i < fillCount; i++) {
        // [3] The fill opens.
        fillCommitment[i] <== FillCommitment()(sellAsset[i], sold[i], buyAsset[i], bought[i], r[i]);
        fills[i] === fillCommitment[i];

        // [4] What it sold comes in, what it bought goes out.
        sellShare[i] <== Share()(sold[i], sellAsset[i], commitment);
        buyShare[i] <== Share()(bought[i], buyAsset[i], commitment);
        sum += sellShare[i] - buyShare[i];
    }

    signal residualCommitment[residualCount];
    signal residualShare[residualCount];
    for (var j = 0; j < residualCount; j++) {
        // [5] The residual note opens, and its value is an amount.
        _ <== Num2Bits(AMOUNT_BITS())(residualValue[j]);
        residualCommitment[j] <== Commitment()(residualAsset[j], residualValue[j], residualStealth[j]);
        residuals[j] === residualCommitment[j];

        // [6] It goes out.
        residualShare[j] <== Share()(residualValue[j], residualAsset[j], commitment);
        sum -= residualShare[j];
    }

    // [7] For every asset, what comes in is what goes out.
    sum === 0;
}

// amount / (x - asset). There is none where asset = x.
template Share() {
    signal input amount;
    signal input asset;
    signal input x;
    signal output out;

    signal inverse <-- 1 / (x - asset);
    inverse * (x - asset) === 1;
    out <== amount * inverse;
}
