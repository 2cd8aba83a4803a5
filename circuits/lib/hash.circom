pragma circom 2.2.0;

include "circomlib/circuits/poseidon.circom";

// Poseidon of n inputs whose initial state is a domain tag. Tag 0 is circomlib's plain Poseidon.
template Hash(n, tag) {
    signal input in[n];
    signal output out;

    component permutation = PoseidonEx(n, 1);
    permutation.initialState <== tag;
    for (var i = 0; i < n; i++) {
        permutation.inputs[i] <== in[i];
    }
    out <== permutation.out[0];
}
