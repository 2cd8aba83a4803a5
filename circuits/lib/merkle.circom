pragma circom 2.2.0;

include "hash.circom";

// One node of the tree: H(c0, c1, c2, c3), tag 0, where `node` is the child at `position`, two bits with the lower first, which the
// caller keeps boolean. siblings[0] is the node's mate: the other child of the same half; siblings[1] and [2] are the other half in order.
template Parent() {
    signal input node;
    signal input siblings[3];
    signal input position[2];
    signal output out;

    // The lower bit orders the node's own half, the higher bit orders the halves.
    signal left <== node + position[0] * (siblings[0] - node);
    signal right <== node + siblings[0] - left;
    signal child0 <== left + position[1] * (siblings[1] - left);
    signal child1 <== right + position[1] * (siblings[2] - right);
    signal child2 <== left + siblings[1] - child0;
    signal child3 <== right + siblings[2] - child1;

    out <== Hash(4, 0)([child0, child1, child2, child3]);
}

// The root over `node`, which stands `levels` levels below it. `indexBits` are the bits of the node's index at its own height,
// lowest first; the caller keeps them boolean.
template RootFromPath(levels) {
    signal input node;
    signal input indexBits[2 * levels];
    signal input siblings[levels][3];
    signal output out;

    signal nodes[levels + 1];
    nodes[0] <== node;
    for (var level = 0; level < levels; level++) {
        nodes[level + 1] <== Parent()(nodes[level], siblings[level], [indexBits[2 * level], indexBits[2 * level + 1]]);
    }
    out <== nodes[levels];
}

// The root of a full subtree of 4^height leaves.
template Subtree(height) {
    signal input leaves[4 ** height];
    signal output out;

    var width = 4 ** height;
    signal nodes[height + 1][width];
    nodes[0] <== leaves;
    for (var level = 0; level < height; level++) {
        width = width \ 4;
        for (var i = 0; i < width; i++) {
            nodes[level + 1][i] <== Hash(4, 0)([
                nodes[level][4 * i], nodes[level][4 * i + 1], nodes[level][4 * i + 2], nodes[level][4 * i + 3]
            ]);
        }
        for (var i = width; i < 4 ** height; i++) {
            nodes[level + 1][i] <== 0;
        }
    }
    out <== nodes[height][0];
}
