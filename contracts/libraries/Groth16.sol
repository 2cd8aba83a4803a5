// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerifier} from "../interfaces/IVerifier.sol";

/// @title The curve operations of Groth16 verification, on points in memory.
/// @dev Every argument is the address of memory that the caller has allocated.
///      A term is 3 words: a point of G1 and a scalar. A pair is 6 words: a point of G1 and a point of G2.
///      The precompiles refuse coordinates that are not below the order of their field and points off the curve; the pairing also
///      refuses points of G2 outside the subgroup (EIP-196, EIP-197). All gas is forwarded: their prices have changed before (EIP-1108), and
///      a price fixed here would make verification impossible after a rise.
library Groth16 {
    uint256 internal constant TERM_BYTES = 0x60;
    uint256 internal constant PAIR_BYTES = 0xc0;

    uint256 private constant ADDITION = 0x06;
    uint256 private constant MULTIPLICATION = 0x07;
    uint256 private constant PAIRING = 0x08;

    function allocate(uint256 size) internal pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := mload(0x40)
            mstore(0x40, add(start, size))
        }
    }

    function copyPoint(uint256 from, uint256 to) internal pure {
        assembly ("memory-safe") {
            mcopy(to, from, 0x40)
        }
    }

    function setScalar(uint256 term, uint256 scalar) internal pure {
        assembly ("memory-safe") {
            mstore(add(term, 0x40), scalar)
        }
    }

    /// @dev Writes the product of the term to `to`. A scalar of 1 costs nothing; its point stays unchecked until it is used.
    function multiply(uint256 term, uint256 to) internal view {
        bool success;
        assembly ("memory-safe") {
            switch mload(add(term, 0x40))
            case 1 {
                mcopy(to, term, 0x40)
                success := 1
            }
            default {
                success := staticcall(gas(), MULTIPLICATION, term, 0x60, to, 0x40)
            }
        }
        if (!success) revert IVerifier.PrecompileFailed(MULTIPLICATION);
    }

    /// @dev Adds the point that follows `sum` to `sum`.
    function add(uint256 sum) internal view {
        bool success;
        assembly ("memory-safe") {
            success := staticcall(gas(), ADDITION, sum, 0x80, sum, 0x40)
        }
        if (!success) revert IVerifier.PrecompileFailed(ADDITION);
    }

    /// @dev Adds the products of `count` terms to `sum`, the two words behind which are overwritten. A scalar of 0 adds nothing and costs nothing.
    function addProducts(uint256 terms, uint256 count, uint256 sum) internal view {
        uint256 failed;
        assembly ("memory-safe") {
            let product := add(sum, 0x40)
            let end := add(terms, mul(count, TERM_BYTES))
            for {
                let term := terms
            } lt(term, end) {
                term := add(term, TERM_BYTES)
            } {
                if mload(add(term, 0x40)) {
                    if iszero(staticcall(gas(), MULTIPLICATION, term, 0x60, product, 0x40)) {
                        failed := MULTIPLICATION
                        break
                    }
                    if iszero(staticcall(gas(), ADDITION, sum, 0x80, sum, 0x40)) {
                        failed := ADDITION
                        break
                    }
                }
            }
        }
        if (failed != 0) revert IVerifier.PrecompileFailed(failed);
    }

    /// @dev Adds `factor` times each of `count` words of calldata to the scalars of as many terms. Returns whether all the words are below
    ///      `modulus`, which is the order of the field.
    function addScalars(
        uint256 terms,
        uint256 words,
        uint256 count,
        uint256 factor,
        uint256 modulus
    ) internal pure returns (bool inField) {
        assembly ("memory-safe") {
            inField := 1
            let scalar := add(terms, 0x40)
            for {
                let end := add(words, shl(5, count))
            } lt(words, end) {
                words := add(words, 0x20)
            } {
                let word := calldataload(words)
                inField := and(inField, lt(word, modulus))
                mstore(scalar, addmod(mload(scalar), mulmod(factor, word, modulus), modulus))
                scalar := add(scalar, TERM_BYTES)
            }
        }
    }

    /// @dev Whether the product of the pairings is one.
    function isPairingProductOne(uint256 pairs, uint256 end) internal view returns (bool) {
        bool success;
        uint256 result;
        assembly ("memory-safe") {
            // Where there is no precompile the call succeeds and writes nothing.
            mstore(0x00, 0)
            success := staticcall(gas(), PAIRING, pairs, sub(end, pairs), 0x00, 0x20)
            result := mload(0x00)
        }
        if (!success) revert IVerifier.PrecompileFailed(PAIRING);
        return result == 1;
    }
}
