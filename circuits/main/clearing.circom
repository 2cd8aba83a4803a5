pragma circom 2.2.0;

include "../lib/clearing.circom";

component main { public [commitment, challenge, evaluation] } = Clearing(SETTLEMENT_FILLS_MAX(), SETTLEMENT_RESIDUALS());
