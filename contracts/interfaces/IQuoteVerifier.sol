// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "./IRegistry.sol";

/// @title Decides whether evidence shows that an era's keys live inside a trusted enclave.
interface IQuoteVerifier {
    /// @notice Called by a registry, which is msg.sender. It asks again, with the same words, when somebody says that the evidence no
    ///         longer holds.
    /// @param operator The registry's number of the operator.
    /// @param nonce What the evidence has to name, so that it is not older than that.
    /// @param evidence What the verifier's own documentation says.
    /// @return validUntil Unix seconds until which the evidence holds; 0 where it does not show, now, that all keys of the era are those of a
    ///         trusted enclave for this chain, registry and operator. Malformed evidence may revert too, which says nothing of evidence
    ///         that was accepted before.
    function verify(
        uint256 operator,
        IRegistry.Era calldata era,
        bytes32 nonce,
        bytes calldata evidence
    ) external view returns (uint40 validUntil);
}
