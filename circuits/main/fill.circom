pragma circom 2.2.0;

include "../lib/fill.circom";

component main { public [
    root, operatorId, validUntil, nullifiers, orderNullifier, change, proceeds, orderState, fill, words
] } = Fill(TREE_DEPTH(), FILL_INPUTS());
