// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "./IRegistry.sol";

/// @title Decides whether evidence shows that an era's keys live inside a trusted enclave.
interface IQuoteVerifier {
    /// @notice Called by a registry, which is msg.sender.
    /// @param operator The registry's number of the operator.
    /// @param evidence What the verifier's own documentation says.
    /// @return Whether all keys of the era are shown to be those of an enclave for this chain, registry and operator. Malformed evidence
    ///         may revert too.
    function verify(uint256 operator, IRegistry.Era calldata era, bytes calldata evidence) external view returns (bool);
}
