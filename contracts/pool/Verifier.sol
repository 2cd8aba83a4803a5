// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Parameters} from "../generated/Parameters.sol";
import {VerifyingKeys} from "../generated/VerifyingKeys.sol";
import {IVerifier} from "../interfaces/IVerifier.sol";
import {Groth16} from "../libraries/Groth16.sol";

/// @title The verifier of the protocol's circuits.
/// @dev A Groth16 proof (A, B, C) of the signals s holds where, with L = IC_0 + sum_i s_i IC_(i+1),
///          e(A, B) e(alpha, -beta) e(L, -gamma) e(C, -delta) = 1          (https://eprint.iacr.org/2016/260, section 3.2).
///      N claims are checked as the product of their equations, each to the power of its coefficient r^i, 0 <= i < N. alpha, beta and gamma
///      are common to all circuits and delta to the claims of one circuit, so with k circuits that is
///          prod_i e(r^i A_i, B_i)  e(sum_i r^i alpha, -beta)  e(sum_i r^i L_i, -gamma)  prod_c e(sum_(i in c) r^i C_i, -delta_c) = 1
///      with N + 2 + k pairs. r is the hash of all claims: of every word of every proof, every signal, the circuits, their order and number. All groups
///      have the prime order p, so for claims that do not all hold the exponent of that product is a polynomial in r, not zero and of
///      degree below N: it vanishes for fewer than N of p values of r, and whoever changes a claim to hit one of them gets another r.
///      Since the points of the key are the negated ones, no coordinate of a proof is computed with: each goes to a precompile as it comes, which
///      refuses aliases. The point at infinity is a point like others in the proof of soundness, so nothing is done about it: a pair with it
///      contributes 1, and then L and C alone would have to make up for alpha beta.
contract Verifier is IVerifier {
    uint256 private constant P = Parameters.FIELD_MODULUS;

    /// @dev What the claims so far amount to. `sum` is sum_i r^i L_i with room for a second point; `end` is where the next pair goes.
    struct Batch {
        uint256 challenge;
        uint256 coefficient;
        uint256 coefficients;
        uint256 terms;
        uint256 sum;
        uint256 end;
    }

    constructor() {
        if (VerifyingKeys.DEVELOPMENT && !Parameters.isDevelopmentChain(block.chainid))
            revert DevelopmentKey(block.chainid);
    }

    /// @inheritdoc IVerifier
    function verify(Claim[] calldata claims) external view returns (bool) {
        uint256 count = claims.length;
        if (count == 0) revert NoClaims();
        Batch memory batch;
        // One claim has the coefficient 1 whatever the challenge is.
        if (count > 1) batch.challenge = uint256(keccak256(abi.encode(claims))) % P;
        batch.coefficient = 1;
        uint256 pairs = Groth16.allocate((count + 2 + VerifyingKeys.CIRCUITS) * Groth16.PAIR_BYTES);
        batch.end = pairs;
        batch.sum = Groth16.allocate(0x80);
        batch.terms = Groth16.allocate((1 + VerifyingKeys.SIGNALS_MAX) * Groth16.TERM_BYTES);

        uint256 done = 0;
        while (done < count) done = _foldCircuit(batch, claims, done);

        uint256 end = batch.end;
        VerifyingKeys.writeAlpha(end);
        Groth16.setScalar(end, batch.coefficients);
        Groth16.multiply(end, end);
        VerifyingKeys.writeNegatedBeta(end + 0x40);
        end += Groth16.PAIR_BYTES;
        Groth16.copyPoint(batch.sum, end);
        VerifyingKeys.writeNegatedGamma(end + 0x40);
        return Groth16.isPairingProductOne(pairs, end + Groth16.PAIR_BYTES);
    }

    /// @dev Folds the claims of one circuit into the batch, from the claim `first` on; returns the index behind the last of them.
    function _foldCircuit(
        Batch memory batch,
        Claim[] calldata claims,
        uint256 first
    ) private view returns (uint256 next) {
        unchecked {
            uint256 circuit = claims[first].circuit;
            if (circuit >= VerifyingKeys.CIRCUITS) revert UnknownCircuit(circuit);
            uint256 signals = VerifyingKeys.signalCount(circuit);
            VerifyingKeys.writePoints(circuit, batch.terms);

            uint256 sumOfC = Groth16.allocate(0xa0);
            for (next = first; next < claims.length; ++next) {
                Claim calldata claim = claims[next];
                uint256 claimed = claim.circuit;
                if (claimed < circuit) revert ClaimsOutOfOrder(next, circuit, claimed);
                if (claimed != circuit) break;
                _foldSignals(batch, claim.signals, signals, next);
                _foldProof(batch, claim.proof, sumOfC, next == first);
                batch.coefficients = addmod(batch.coefficients, batch.coefficient, P);
                batch.coefficient = mulmod(batch.coefficient, batch.challenge, P);
            }

            uint256 terms = batch.terms;
            if (first == 0) {
                // The sum is empty: its first product needs no addition.
                Groth16.multiply(terms, batch.sum);
                Groth16.addProducts(terms + Groth16.TERM_BYTES, signals, batch.sum);
            } else {
                Groth16.addProducts(terms, 1 + signals, batch.sum);
            }

            uint256 end = batch.end;
            Groth16.copyPoint(sumOfC, end);
            VerifyingKeys.writeNegatedDelta(circuit, end + 0x40);
            batch.end = end + Groth16.PAIR_BYTES;
        }
    }

    /// @dev Adds a claim's signals, times its coefficient, to the scalars of the circuit's points. IC_0 belongs to the constant 1.
    function _foldSignals(
        Batch memory batch,
        uint256[] calldata signals,
        uint256 expected,
        uint256 claim
    ) private pure {
        if (signals.length != expected) revert WrongSignalCount(claim, expected, signals.length);
        uint256 coefficient = batch.coefficient;
        uint256 terms = batch.terms;
        uint256 words;
        uint256 p = P;
        assembly ("memory-safe") {
            words := signals.offset
            let scalar := add(terms, 0x40)
            mstore(scalar, addmod(mload(scalar), coefficient, p))
        }
        if (Groth16.addScalars(terms + Groth16.TERM_BYTES, words, expected, coefficient, p)) return;
        uint256 position = 0;
        while (signals[position] < p) ++position;
        revert SignalNotInField(claim, position, signals[position]);
    }

    /// @dev Appends the pair of A and B, and adds C to the sum for the circuit's delta.
    function _foldProof(Batch memory batch, uint256[8] calldata proof, uint256 sumOfC, bool isFirst) private view {
        unchecked {
            uint256 coefficient = batch.coefficient;
            uint256 pair = batch.end;
            uint256 term = isFirst ? sumOfC : sumOfC + 0x40;
            assembly ("memory-safe") {
                calldatacopy(pair, proof, 0x40)
                calldatacopy(term, add(proof, 0xc0), 0x40)
            }
            // The place of the scalar is that of B, which comes after the multiplication.
            Groth16.setScalar(pair, coefficient);
            Groth16.multiply(pair, pair);
            assembly ("memory-safe") {
                calldatacopy(add(pair, 0x40), add(proof, 0x40), 0x80)
            }
            Groth16.setScalar(term, coefficient);
            Groth16.multiply(term, term);
            if (!isFirst) Groth16.add(sumOfC);
            batch.end = pair + Groth16.PAIR_BYTES;
        }
    }
}
