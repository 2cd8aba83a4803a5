// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Poseidon of three elements over the BN254 scalar field, with the constants of circomlib.
interface IPoseidon3 {
    /// @notice The hash of (a, b, c) with initial state 0: what circomlib's `Poseidon(3)` gives.
    /// @dev The caller guarantees that each input is below the field's modulus; nothing is checked here, and an input that is not has no meaning.
    /// @return digest Below the field's modulus.
    function hash(uint256 a, uint256 b, uint256 c) external pure returns (uint256 digest);
}
