pragma circom 2.2.0;

include "hash.circom";
include "../generated/parameters.circom";

// owner = H_OWNER(Ax, Ay, nk)
template Owner() {
    signal input publicKey[2];
    signal input nullifierKey;
    signal output out <== Hash(3, TAG_OWNER())([publicKey[0], publicKey[1], nullifierKey]);
}

// lock = 0 where isLocked is 0, H_LOCK(operatorId, expiry) where it is 1. The caller keeps isLocked boolean.
template Lock() {
    signal input isLocked;
    signal input operatorId;
    signal input expiry;
    signal lock <== Hash(2, TAG_LOCK())([operatorId, expiry]);
    signal output out <== isLocked * lock;
}

// stealth = H_STEALTH(owner, blinding, lock)
template Stealth() {
    signal input owner;
    signal input blinding;
    signal input lock;
    signal output out <== Hash(3, TAG_STEALTH())([owner, blinding, lock]);
}

// commitment = H(asset, value, stealth): tag 0, because the pool computes it for deposits
template Commitment() {
    signal input asset;
    signal input value;
    signal input stealth;
    signal output out <== Hash(3, 0)([asset, value, stealth]);
}

// nullifier = H_NULLIFIER(nk, commitment, leafIndex)
template Nullifier() {
    signal input nullifierKey;
    signal input commitment;
    signal input leafIndex;
    signal output out <== Hash(3, TAG_NULLIFIER())([nullifierKey, commitment, leafIndex]);
}
