pragma circom 2.2.0;

include "../lib/transfer.circom";

component main { public [root, message, challenge, evaluation] } = Transfer(
    TREE_DEPTH(), TRANSFER_INPUTS(), TRANSFER_OUTPUTS()
);
