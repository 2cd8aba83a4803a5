// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The enclave images that may hold an era's keys.
/// @notice A measurement is keccak256(MRTD, RTMR0, RTMR1, RTMR2, compose hash): 4 × 48 bytes, then 32. New ones wait longer than the longest
///         lock, so that every owner can leave before code that he has not seen can settle with his notes.
interface IMeasurements {
    event MeasurementProposed(bytes32 indexed measurement, uint256 from);
    event MeasurementRemoved(bytes32 indexed measurement);

    error NotGovernor(address caller);
    error NotGuardian(address caller);
    error MeasurementKnown(bytes32 measurement);
    error MeasurementUnknown(bytes32 measurement);

    /// @notice Allows a measurement from `Parameters.MEASUREMENT_DELAY_SECONDS` on. Only the governor.
    function propose(bytes32 measurement) external;

    /// @notice Ends a measurement at once, proposed or allowed: code with a known hole must not wait. It can be proposed again. Only the guardian, whom no
    ///         delay binds, or the governor.
    function remove(bytes32 measurement) external;

    /// @return Unix seconds from which the measurement is allowed; 0 where it is not.
    function allowedFrom(bytes32 measurement) external view returns (uint256);

    /// @notice Whether an enclave with it is trusted in this block.
    function isAllowed(bytes32 measurement) external view returns (bool);
}
