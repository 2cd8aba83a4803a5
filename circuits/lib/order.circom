pragma circom 2.2.0;

include "hash.circom";
include "../generated/parameters.circom";

// orderHash = H_ORDER(owner, operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt): what the owner signs
template OrderHash() {
    signal input owner;
    signal input operatorId;
    signal input sellAsset;
    signal input buyAsset;
    signal input sellMax;
    signal input buyMin;
    signal input expiry;
    signal input payTo;
    signal input relockExpiry;
    signal input salt;
    signal output out <== Hash(10, TAG_ORDER())([
        owner, operatorId, sellAsset, buyAsset, sellMax, buyMin, expiry, payTo, relockExpiry, salt
    ]);
}

// orderState = H_ORDER_STATE(orderHash, filled, k): a leaf of the tree after the k-th fill of the order
template OrderState() {
    signal input orderHash;
    signal input filled;
    signal input k;
    signal output out <== Hash(3, TAG_ORDER_STATE())([orderHash, filled, k]);
}

// orderNullifier = H(t, 0, 0) of the cancel key t = H_CANCEL(nk, orderHash, k): tag 0, because the pool computes it for cancellations
template OrderNullifier() {
    signal input nullifierKey;
    signal input orderHash;
    signal input k;
    signal cancelKey <== Hash(3, TAG_CANCEL())([nullifierKey, orderHash, k]);
    signal output out <== Hash(3, 0)([cancelKey, 0, 0]);
}

// f = H_FILL(sellAsset, sold, buyAsset, bought, r): what a fill and the clearing of its settlement agree on
template FillCommitment() {
    signal input sellAsset;
    signal input sold;
    signal input buyAsset;
    signal input bought;
    signal input r;
    signal output out <== Hash(5, TAG_FILL())([sellAsset, sold, buyAsset, bought, r]);
}
