// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Verifies Groth16 proofs of the protocol's circuits, any number of them in one pairing check.
/// @notice Says whether statements are true and nothing else: what the signals mean is for the caller to check, and so is a claim that comes
///         twice. Anybody can turn a proof into another one of the same statement, so a proof's bytes identify nothing.
interface IVerifier {
    /// @notice One statement with its Groth16 proof.
    /// @param circuit Identifier of the circuit.
    /// @param proof A.x, A.y, B.x imaginary, B.x real, B.y imaginary, B.y real, C.x, C.y: the order of the pairing precompile (EIP-197).
    /// @param signals The circuit's public signals, each below the order of the scalar field.
    struct Claim {
        uint8 circuit;
        uint256[8] proof;
        uint256[] signals;
    }

    /// @notice No claim was given: there would be nothing to be true.
    error NoClaims();

    /// @notice No circuit has this identifier.
    error UnknownCircuit(uint256 circuit);

    /// @notice Claims must be ordered by circuit.
    /// @param claim Index of the claim whose circuit is below the one before it.
    error ClaimsOutOfOrder(uint256 claim, uint256 previousCircuit, uint256 circuit);

    /// @notice The number of signals is not that of the claim's circuit.
    /// @param claim Index of the claim.
    error WrongSignalCount(uint256 claim, uint256 expected, uint256 actual);

    /// @notice A signal is not below the order of the scalar field: an alias of another value.
    /// @param claim Index of the claim.
    /// @param position Index among the claim's signals.
    error SignalNotInField(uint256 claim, uint256 position, uint256 value);

    /// @notice A precompile refused its input: a coordinate is not below the order of its field, a point is not on its curve or not in
    ///         its subgroup, or the gas ran out. Everything forwarded to the precompile is consumed.
    /// @param precompile 6 for addition, 7 for multiplication, 8 for the pairing.
    error PrecompileFailed(uint256 precompile);

    /// @notice The verifying keys were made without an outside ceremony and are for development chains only.
    error DevelopmentKey(uint256 chainId);

    /// @notice Whether every claim holds.
    /// @param claims At least one, ordered by circuit; claims of one circuit may be in any order.
    /// @return True where all proofs hold, false where some proof does not. Malformed claims revert.
    function verify(Claim[] calldata claims) external view returns (bool);
}
