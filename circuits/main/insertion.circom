pragma circom 2.2.0;

include "../lib/insertion.circom";

component main { public [
    oldRoot, newRoot, bucketRoot, bucketIndex, challenge, evaluation
] } = Insertion(TREE_DEPTH(), BUCKET_HEIGHT());
