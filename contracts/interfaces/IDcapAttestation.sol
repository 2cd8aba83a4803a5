// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A verifier of Intel's DCAP quotes that runs on the chain, in the form that Automata's has.
interface IDcapAttestation {
    /// @return success Whether the quote's signatures lead to Intel's root, with the collateral that the chain has.
    /// @return output version (2 bytes), TEE type (4), TCB status (1), FMSPC (6), then the quote's body and the advisories.
    function verifyAndAttestOnChain(bytes calldata rawQuote) external view returns (bool success, bytes memory output);
}
