pragma circom 2.2.0;

include "circomlib/circuits/bitify.circom";
include "merkle.circom";
include "../generated/parameters.circom";

// Statement: oldRoot is the root of a tree whose subtree number bucketIndex is empty; newRoot is the root of the same tree with the subtree
// bucketRoot in that place; the leaves of that subtree are the coefficients of a polynomial, lowest first, whose value at `challenge` is `evaluation`.
//
// The pool guarantees: challenge = keccak(the real leaves, their number, bucket, oldRoot, newRoot, bucketRoot) mod p and evaluation is the
// value at it of the polynomial of the real leaves, padded with 0; bucketIndex < 4^(depth - height). bucketRoot commits to the leaves before
// the challenge is known, so two different lists agree there with a probability below 2^-247.
//
// The numbers of the steps are those of docs/spec/insertion.md. Constraints: pinned in circuits/pins/insertion.json.
template Insertion(depth, height) {
    var levels = depth - height;
    var leafCount = 4 ** height;

    // --- public -----------------------------------------------------------------------------------------------------
    signal input oldRoot;
    signal input newRoot;
    signal input bucketRoot;
    signal input bucketIndex;                   // < 4^levels
    signal input challenge;
    signal input evaluation;

    // --- private ----------------------------------------------------------------------------------------------------
    signal input leaves[leafCount];             // the bucket's, then 0
    signal input siblings[levels][3];           // along the path of the bucket, the same before and after

    // [1] The place is one of the tree.
    component indexBits = Num2Bits(2 * levels);
    indexBits.in <== bucketIndex;

    // [2] Before, the place was empty.
    signal emptyRoot <== RootFromPath(levels)(EMPTY_BUCKET_ROOT(), indexBits.out, siblings);
    oldRoot === emptyRoot;

    // [3] The bucket's root is that of its leaves.
    signal leavesRoot <== Subtree(height)(leaves);
    bucketRoot === leavesRoot;

    // [4] After, the bucket is in that place and everything else is as it was.
    signal filledRoot <== RootFromPath(levels)(bucketRoot, indexBits.out, siblings);
    newRoot === filledRoot;

    // [5] The leaves are those that the pool evaluated (Horner's rule, from the highest coefficient).
    signal partial[leafCount];
    partial[leafCount - 1] <== leaves[leafCount - 1];
    for (var i = leafCount - 2; i >= 0; i--) {
        partial[i] <== partial[i + 1] * challenge + leaves[i];
    }
    evaluation === partial[0];
}
